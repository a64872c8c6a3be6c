// SPDX-License-Identifier: GPL-2.0

//! An XDP program that sends every packet to another device, as an object file.

use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

/// One instruction of eBPF: operation, registers, offset, a constant.
fn instruction(operation: u8, registers: u8, constant: i32) -> Vec<u8> {
    let mut bytes = vec![operation, registers, 0, 0];
    bytes.extend(constant.to_le_bytes());
    bytes
}

/// `return bpf_redirect(device, 0);`
pub(crate) fn redirect(device: i32) -> Vec<u8> {
    const MOV: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const BPF_REDIRECT: i32 = 23;
    let text = [
        instruction(MOV, 1, device),
        instruction(MOV, 2, 0),
        instruction(CALL, 0, BPF_REDIRECT),
        instruction(EXIT, 0, 0),
    ]
    .concat();
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    object.append_section_data(section, &text, 8);
    object.add_symbol(Symbol {
        name: b"redirect".to_vec(),
        value: 0,
        size: text.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.write().expect("a sound object file")
}
