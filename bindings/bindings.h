/* SPDX-License-Identifier: GPL-2.0 */

/* What bindgen reads: the netfilter types that the kernel crate lacks, and our helpers. */

#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#include "helpers.h"
