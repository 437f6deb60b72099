// Asks for the status and shows it. Everything is set as text: names come from files.
const time = s => s == null ? '–' : s < 0.01 ? (s * 1e3).toFixed(1) + ' ms' : s < 1 ? (s * 1e3).toFixed(0) + ' ms'
  : s < 60 ? s.toFixed(1) + ' s' : s < 3600 ? Math.floor(s / 60) + ' min' : s < 86400 ? Math.floor(s / 3600) + ' h'
  : Math.floor(s / 86400) + ' d';
const size = b => b < 1e6 ? Math.round(b / 1e3) + ' KB' : b < 1e9 ? (b / 1e6).toFixed(1) + ' MB' : (b / 1e9).toFixed(1) + ' GB';
const rate = n => n < 100 ? n.toFixed(1) : Math.round(n).toLocaleString('en');
const counts = list => list.map(c => `${c.name} ×${c.count.toLocaleString('en')}`).join(', ');

function cell(row, text, kind) {
  const td = row.insertCell();
  td.textContent = text;
  if (kind) td.className = kind;
  return td;
}

function show(s) {
  document.title = s.platform + ' · monopod';
  document.getElementById('name').textContent = s.platform;
  document.getElementById('facts').textContent =
    `monopod ${s.version} · up ${time(s.uptime)} · ${size(s.memory)} · ${(s.cpu * 100).toFixed(0)}% CPU`;
  document.getElementById('facts').className = '';
  document.getElementById('window').textContent = time(s.window);
  const body = document.createElement('tbody');
  body.id = 'components';
  for (const c of s.components) {
    const row = body.insertRow();
    cell(row, c.name);
    cell(row, c.version);
    cell(row, c.retry_after == null ? c.state : `${c.state}, again in ${time(c.retry_after)}`,
      c.state === 'open' ? 'bad' : c.state === 'serving' ? '' : 'odd');
    cell(row, rate(c.calls_per_second), 'n');
    cell(row, c.failures, c.failures ? 'n bad' : 'n').title = counts(c.reasons);
    cell(row, time(c.p50), 'n');
    cell(row, time(c.p99), 'n');
    cell(row, (c.cpu * 100).toFixed(0) + '%', 'n');
    cell(row, size(c.memory_most), 'n');
    cell(row, `${c.running}/${c.places}`, 'n');
    cell(row, c.waiting, c.waiting ? 'n odd' : 'n');
    cell(row, c.lag == null ? '–' : c.lag, 'n');
    cell(row, counts(c.limits), 'odd');
  }
  document.getElementById('components').replaceWith(body);
  const fields = document.createElement('tbody');
  fields.id = 'fields';
  for (const f of s.fields) {
    const row = fields.insertRow();
    cell(row, f.name);
    cell(row, f.component);
    cell(row, rate(f.calls_per_second), 'n');
    cell(row, time(f.mean), 'n');
    cell(row, rate(f.values_per_second), 'n');
    cell(row, f.errors, f.errors ? 'n bad' : 'n');
    cell(row, size(f.bytes), 'n');
    cell(row, f.cost.toLocaleString('en'), 'n');
  }
  document.getElementById('fields').replaceWith(fields);
  const facts = {
    'units / s': rate(s.state.units_per_second),
    'units per fsync': s.state.units_per_fsync == null ? '–' : s.state.units_per_fsync.toFixed(1),
    'writes waiting': s.state.queue, 'write-ahead log': size(s.state.log),
    'messages / s': rate(s.messages.per_second), 'lag': s.messages.lag, 'oldest': time(s.messages.oldest),
    'timers / s': rate(s.messages.timers_per_second), 'dead letters': s.messages.dead_letters,
    'subscriptions': s.messages.watchers,
  };
  const list = document.createElement('dl');
  list.id = 'state';
  for (const [name, value] of Object.entries(facts)) {
    const group = document.createElement('div');
    group.append(Object.assign(document.createElement('dt'), { textContent: name }),
      Object.assign(document.createElement('dd'), { textContent: value }));
    list.append(group);
  }
  document.getElementById('state').replaceWith(list);
}

async function ask() {
  try {
    const answer = await fetch('/admin/status', { cache: 'no-store' });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    show(await answer.json());
  } catch (error) {
    const facts = document.getElementById('facts');
    facts.textContent = 'no answer: ' + error.message;
    facts.className = 'bad';
  }
  setTimeout(ask, 2000);
}
ask();
