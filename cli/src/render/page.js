// SPDX-License-Identifier: GPL-2.0
// What a page of journeys does: it searches, and shows what a station's record says.
// Text from packets and names only ever becomes text, never markup.
'use strict';
(() => {
  const packets = JSON.parse(document.getElementById('packets').textContent);
  const sections = [...document.querySelectorAll('section')];
  const search = document.getElementById('search');
  const dropped = document.getElementById('dropped');
  const none = document.getElementById('none');

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const section of sections) {
      const text = section.dataset.text.toLowerCase();
      section.hidden = (dropped.checked && section.dataset.dropped === '0') || !words.every((word) => text.includes(word));
      left += section.hidden ? 0 : 1;
    }
    none.hidden = left > 0 || sections.length === 0;
  }
  search.addEventListener('input', filter);
  dropped.addEventListener('change', filter);

  // The number of the journey that a drawn way shows now.
  const shown = (route) => route.dataset.shown || route.dataset.journey;

  function details(stop) {
    const section = stop.closest('section');
    const number = shown(stop.closest('.route'));
    const step = packets[number].steps[stop.dataset.step];
    const aside = section.querySelector('aside');
    const again = stop.classList.contains('chosen') && aside.dataset.journey === number;
    section.querySelectorAll('.stop.chosen').forEach((other) => other.classList.remove('chosen'));
    aside.hidden = again;
    if (again) return;
    stop.classList.add('chosen');
    aside.dataset.journey = number;
    aside.querySelector('h3').textContent = `${step.hook}, journey ${number}`;
    const list = aside.querySelector('dl');
    list.replaceChildren();
    for (const [key, value] of step.details) {
      list.append(Object.assign(document.createElement('dt'), { textContent: key }));
      list.append(Object.assign(document.createElement('dd'), { textContent: value }));
    }
  }

  // Shows the times of another packet that went the same way.
  function choose(row) {
    const section = row.closest('section');
    const route = section.querySelector(`.route[data-journey="${row.dataset.route}"]`);
    route.dataset.shown = row.dataset.journey;
    const { steps } = packets[row.dataset.journey];
    route.querySelectorAll('.stop').forEach((stop) => {
      stop.querySelector('.since').textContent = steps[stop.dataset.step].since;
    });
    section.querySelectorAll(`tr[data-route="${row.dataset.route}"]`).forEach((other) => {
      other.classList.toggle('chosen', other === row);
    });
    const chosen = route.querySelector('.stop.chosen');
    if (chosen) details(chosen);
  }

  function act(event) {
    const stop = event.target.closest('.stop');
    const row = event.target.closest('tr[data-journey]');
    if (stop) details(stop);
    else if (row) choose(row);
    else return;
    event.preventDefault();
  }
  document.addEventListener('click', act);
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || event.key === ' ') act(event);
  });
  document.documentElement.dataset.ready = String(sections.length);
})();
