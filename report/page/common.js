  // What the scripts of all pages share. It and the script of one page are put into one function (report/html.go).
  const SPACE = 'http://www.w3.org/2000/svg';
  const LEFT = 66, RIGHT = 10, TOP = 6, BOTTOM = 18; // the margins of a plot, in px
  const SLACK = 1.02; // how far a line may reach above the end of its axis: a share is a little above 1 if a reading is late
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // node makes an SVG element.
  function node(name, attributes, ...children) {
    const e = document.createElementNS(SPACE, name);
    for (const key in attributes) e.setAttribute(key, attributes[key]);
    e.append(...children);
    return e;
  }

  // three formats a number with three digits.
  function three(v) {
    const a = Math.abs(v);
    if (a >= 99.95) return String(Math.round(v));
    if (a >= 9.995) return v.toFixed(1);
    return v.toFixed(a >= 0.9995 || a === 0 ? 2 : 3);
  }

  function prefixed(v, symbol, base, prefixes) {
    let n = prefixes.indexOf('');
    while (Math.abs(v) >= (base === 1000 ? 999.5 : 1023.5) && n < prefixes.length - 1) { v /= base; n++; }
    while (v !== 0 && Math.abs(v) < 0.9995 && n > 0) { v *= base; n--; }
    return (base === 1024 && prefixes[n] === '' ? String(Math.round(v)) : three(v)) + ' ' + prefixes[n] + symbol;
  }

  // format writes a value of a unit for people, in three digits.
  function format(v, unit) {
    if (v === undefined || !isFinite(v)) return '–';
    switch (unit) {
      case 'By': return prefixed(v, 'B', 1024, ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi']);
      case 'By/s': return prefixed(v, 'B/s', 1024, ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi']);
      case '1': return three(100 * v) + ' %';
      case 's': return duration(v);
      case 'Cel': return v.toFixed(1) + ' °C';
      case 'W': case 'J': return v === 0 ? '0 ' + unit : prefixed(v, unit, 1000, ['µ', 'm', '', 'k', 'M', 'G']);
      case 'Hz': return prefixed(v, unit, 1000, ['', 'k', 'M', 'G']);
      case '{own}': { // a figure of the command's own
        const a = Math.abs(v);
        return a !== 0 && (a < 0.001 || a >= 1e6) ? v.toExponential(2) : three(v);
      }
      case '{cpu}': return v.toFixed(2) + (v.toFixed(2) === '1.00' ? ' CPU' : ' CPUs');
    }
    return three(v) + (unit.startsWith('{') ? ' ' + unit.slice(1, -1) + 's' : ' ' + unit);
  }

  // axisValue is format without zeros at the end of the number.
  const axisValue = (v, unit) => v === 0 ? '0' : format(v, unit).replace(/(\.\d*?)0+(?=\s|$)/, '$1').replace(/\.(?=\s|$)/, '');

  // duration writes a length of time as the rest of the page does.
  function duration(s) {
    if (s < 0.0009995) return three(1e6 * s) + ' µs';
    if (s < 0.9995) return three(1e3 * s) + ' ms';
    if (s < 59.95) return three(s) + ' s';
    const tenths = Math.round(10 * s), minutes = Math.round(s / 60);
    if (tenths < 36000) return Math.floor(tenths / 600) + ' min ' + (tenths % 600 / 10).toFixed(1).padStart(4, '0') + ' s';
    return Math.floor(minutes / 60) + ' h ' + String(minutes % 60).padStart(2, '0') + ' min';
  }

  const clamp = (v, least, most) => Math.min(Math.max(v, least), most);

  // ceiling returns the end of an axis that holds v: its half is a round number too.
  function ceiling(v, unit) {
    if (!(v > 0)) return 1;
    let scale = 1;
    if (unit === 'By' || unit === 'By/s') while (v / scale >= 1024) scale *= 1024;
    scale *= 10 ** Math.floor(Math.log10(v / scale));
    for (const round of [1, 2, 3, 4, 5, 6, 8]) if (v <= round * scale * SLACK) return round * scale;
    return 10 * scale;
  }

  const place = v => Math.round(v * 10) / 10;

  function strong(text) {
    const b = document.createElement('b');
    b.textContent = text;
    return b;
  }

  // sortable lets the columns of a table be sorted.
  function sortable(table) {
    const body = table.tBodies[0];
    all('th[data-sort]', table).forEach(th => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener('click', () => {
        const down = th.getAttribute('aria-sort') ? th.getAttribute('aria-sort') === 'ascending' : th.dataset.sort === 'number';
        all('th', table).forEach(o => o.removeAttribute('aria-sort'));
        th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        const at = th.cellIndex, key = row => row.cells[at].dataset.v ?? row.cells[at].textContent;
        const less = th.dataset.sort === 'number'
          ? (a, b) => (key(a) === '' ? -Infinity : Number(key(a))) - (key(b) === '' ? -Infinity : Number(key(b)))
          : (a, b) => key(a).localeCompare(key(b));
        body.append(...[...body.rows].sort((a, b) => down ? less(b, a) : less(a, b)));
      });
    });
  }

  // search hides the rows that lack the words.
  function search(input) {
    const table = document.getElementById(input.dataset.table);
    input.addEventListener('input', () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(w => w);
      let n = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every(w => text.includes(w));
        if (!row.hidden) n++;
      }
      $('#found').textContent = words.length ? n + ' found' : '';
    });
  }

  // theme turns from the system's colors to the other ones and back.
  function theme() {
    const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)');
    $('#theme').addEventListener('click', () => {
      const now = root.dataset.theme || (dark.matches ? 'dark' : 'light');
      root.dataset.theme = now === 'dark' ? 'light' : 'dark';
    });
  }

  // say fills a box with a heading and lines. An empty line is left out.
  function say(box, heading, lines) {
    box.replaceChildren(strong(heading), ...lines.filter(s => s).map(s => {
      const line = document.createElement('div');
      line.textContent = s;
      return line;
    }));
  }

  // beside places a box beside the pointer, inside the window.
  function beside(box, e) {
    const room = document.documentElement.clientWidth - box.offsetWidth - 8;
    box.style.left = clamp(e.clientX + 14, 4, Math.max(4, room)) + 'px';
    box.style.top = (e.clientY + 18 + box.offsetHeight > innerHeight ? e.clientY - box.offsetHeight - 12 : e.clientY + 18) + 'px';
  }

  document.documentElement.classList.add('js');
  theme();
  all('table.sortable').forEach(sortable);
  all('input[data-table]').forEach(search);
