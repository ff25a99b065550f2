  // The script of a page of trends. All charts share one axis of dates and one crosshair, which stands on a run. Without the
  // script the page shows the same charts as pictures, and all tables.
  const HEIGHT = 150; // of a plot, in px
  const DOTS = 300; // the most points in view that have marks of their own
  const NEAR = 24; // how far the point of another line may be from the crosshair, in px
  const DAY = 86400;
  const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

  const head = JSON.parse($('#head')?.textContent ?? 'null');
  // The time that all charts show, and where the crosshair stands: the index of a run, -1 is nowhere.
  const view = {from: 0, to: 1, run: -1};
  let charts = [], frame = 0;

  const two = n => String(n).padStart(2, '0');
  const clock = d => two(d.getUTCHours()) + ':' + two(d.getUTCMinutes());
  const date = s => {
    const d = new Date(1000 * s);
    return d.getUTCFullYear() + '-' + two(d.getUTCMonth() + 1) + '-' + two(d.getUTCDate()) + ' ' + clock(d);
  };

  // dateTicks returns about count marks of an axis between two times, in UTC.
  function dateTicks(from, to, count) {
    const out = [], least = (to - from) / Math.max(1, count);
    for (const step of [60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY, 14 * DAY]) {
      if (least > 1.2 * step) continue;
      const origin = step >= 7 * DAY ? 4 * DAY : 0; // a Monday
      for (let k = Math.ceil((from - origin) / step); origin + k * step <= to; k++) {
        const at = origin + k * step, d = new Date(1000 * at);
        out.push([at, step < DAY && at % DAY ? clock(d) : d.getUTCDate() + ' ' + MONTHS[d.getUTCMonth()]]);
      }
      return out;
    }
    const months = [1, 2, 3, 6, 12, 24, 60, 120].find(m => least <= m * 30 * DAY) ?? 120;
    for (let d = new Date(Date.UTC(new Date(1000 * from).getUTCFullYear(), 0)); d / 1000 <= to; d = new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + months)))
      if (d / 1000 >= from) out.push([d / 1000, MONTHS[d.getUTCMonth()] + ' ' + d.getUTCFullYear()]);
    return out;
  }

  // tickScale returns what the marks of an axis are round numbers of: minutes, hours or binary prefixes of the unit.
  function tickScale(most, unit) {
    let scale = 1;
    if (unit === 'By') while (most / scale >= 1024) scale *= 1024;
    return unit === 's' && most >= 7200 ? 3600 : unit === 's' && most >= 120 ? 60 : scale;
  }

  // tickText writes a mark of an axis. Times have one unit, and only the decimals that the marks need.
  function tickText(v, ticks, unit) {
    const scale = tickScale(Math.max(Math.abs(ticks[0]), Math.abs(ticks[ticks.length - 1])), unit);
    if (unit !== 's' || scale === 1) return axisValue(v, unit);
    const digits = Math.max(0, Math.ceil(-Math.log10((ticks[1] - ticks[0]) / scale) - 1e-9));
    return (v / scale).toFixed(digits) + (scale === 3600 ? ' h' : ' min');
  }

  // valueTicks returns the marks of an axis that holds values from low to high: the first and the last are its ends.
  function valueTicks(low, high, unit) {
    if (!isFinite(low)) return [0, 1];
    if (low > 0 && low < high / 2) low = 0;
    if (high - low <= Math.abs(high) * 1e-6) {
      const room = high === 0 ? 1 : Math.max(Math.abs(high) * 0.05, 1e-9);
      [low, high] = high === 0 ? [0, 1] : [low - room, high + room];
    }
    const scale = tickScale(Math.max(Math.abs(low), Math.abs(high)), unit);
    let step = (high - low) / 4 / scale;
    const ten = 10 ** Math.floor(Math.log10(step));
    step = [1, 2, 5, 10].find(r => step <= r * ten * (1 + 1e-9)) * ten * scale;
    const out = [];
    for (let k = Math.floor(low / step + 1e-9); ; k++) {
      out.push(k * step);
      if (k * step >= high * (1 - 1e-12) - step * 1e-9 && out.length > 1) return out;
    }
  }

  const time = (line, i) => head.runs[line.run[i]].at;

  // seen returns the points of a line that are in view, with one beyond on each side, as a range of indices.
  function seen(line) {
    let first = 0, end = line.run.length;
    while (first < end && time(line, first) < view.from) first++;
    while (end > first && time(line, end - 1) > view.to) end--;
    return [Math.max(0, first - 1), Math.min(line.run.length, end + 1), first, end];
  }

  function draw(c) {
    const width = Math.max(60, c.svg.getBoundingClientRect().width - LEFT - RIGHT), height = c.svg.clientWidth < 500 ? 120 : HEIGHT;
    const x = t => LEFT + (t - view.from) / (view.to - view.from) * width;
    let low = Infinity, high = -Infinity;
    for (const n of c.spec.lines) {
      const line = head.lines[n], [, , first, end] = seen(line);
      for (let i = first; i < end; i++) if (line.y[i] !== null) {
        low = Math.min(low, line.y[i]);
        high = Math.max(high, line.y[i]);
      }
    }
    const ticks = valueTicks(low, high, c.spec.unit), bottom = ticks[0], top = ticks[ticks.length - 1];
    const y = v => place(TOP + (top - clamp(v, bottom, top)) / (top - bottom) * height);
    const grid = node('g', {class: 'grid'}), text = node('g', {class: 'axis'});
    for (const [at, says] of dateTicks(view.from, view.to, width / 80)) {
      grid.append(node('line', {x1: place(x(at)), x2: place(x(at)), y1: TOP, y2: TOP + height}));
      if (x(at) < LEFT + width - 20) text.append(node('text', {x: place(x(at)), y: TOP + height + 13, 'text-anchor': 'middle'}, says));
    }
    for (const v of ticks) {
      grid.append(node('line', {x1: LEFT, x2: LEFT + width, y1: y(v), y2: y(v)}));
      text.append(node('text', {x: LEFT - 6, y: y(v) + 4, 'text-anchor': 'end'}, tickText(v, ticks, c.spec.unit)));
    }
    c.svg.setAttribute('height', TOP + height + BOTTOM);
    c.svg.removeAttribute('viewBox');
    const clip = 'clip-' + c.spec.id, group = node('g', {'clip-path': 'url(#' + clip + ')'});
    c.svg.replaceChildren(grid, text, node('clipPath', {id: clip}, node('rect', {x: LEFT - 4, y: 0, width: width + 8, height: TOP + height + 1})), group);
    for (const n of c.spec.lines) lineOf(group, head.lines[n], x, y, height);
    c.mark = node('rect', {class: 'mark', y: TOP, height, width: 0, x: LEFT});
    c.hair = node('line', {class: 'hair', y1: TOP, y2: TOP + height + 4, visibility: 'hidden'});
    c.here = node('g', {class: 'here'});
    c.svg.append(c.mark, c.hair, c.here);
    c.plot = {width, height, x, y};
  }

  // lineOf draws a line with its points, its levels and steps, and what is missing.
  function lineOf(group, line, x, y, height) {
    const [first, end, inside, beyond] = seen(line), at = i => place(x(time(line, i)));
    let path = '', bars = '', lacks = '', move = 'M';
    for (let i = first; i < end; i++) {
      if (line.y[i] === null) {
        lacks += 'M' + (at(i) - 3) + ' ' + (TOP + height - 7) + 'l6 6m0 -6l-6 6';
        continue;
      }
      path += move + at(i) + ' ' + y(line.y[i]);
      move = 'L';
      if (line.low && line.low[i] !== null && Math.abs(y(line.low[i]) - y(line.high[i])) > 1) bars += 'M' + at(i) + ' ' + y(line.high[i]) + 'V' + y(line.low[i]);
    }
    (line.levels ?? []).forEach((v, k) => {
      const from = k ? line.steps[k - 1].at : 0, to = k < line.steps.length ? line.steps[k].at : line.run.length - 1;
      group.append(node('path', {class: 'level ' + line.look, d: 'M' + at(from) + ' ' + y(v) + 'H' + at(to)}));
    });
    for (const [name, d] of [['bars', bars], ['line', path], ['lack', lacks]]) if (d) group.append(node('path', {class: name + ' ' + line.look, d}));
    if (beyond - inside <= DOTS) for (let i = inside; i < beyond; i++) {
      if (line.y[i] === null) continue;
      const dot = node('circle', {class: 'dot ' + line.look, cx: at(i), cy: y(line.y[i]), r: 2.6}), link = head.runs[line.run[i]].link;
      group.append(link ? node('a', {href: link, tabindex: -1}, dot) : dot);
    }
    for (const s of line.steps ?? []) {
      const right = at(s.at) > LEFT + (x(view.to) - LEFT) - 60;
      group.append(node('line', {class: 'step ' + line.look, x1: at(s.at), x2: at(s.at), y1: TOP, y2: TOP + height}),
        node('text', {class: 'step-label ' + line.look, x: at(s.at) + (right ? -4 : 4), y: TOP + 11, 'text-anchor': right ? 'end' : 'start'}, s.text));
    }
  }

  // pointOf returns the index of the point of a line that has the run of the crosshair, else of the one nearest in time if it is
  // near enough to be meant; -1 if there is none.
  function pointOf(line, width) {
    const exact = line.run.indexOf(view.run);
    if (exact >= 0) return exact;
    const t = head.runs[view.run].at;
    let best = -1, least = NEAR / width * (view.to - view.from);
    line.run.forEach((r, i) => {
      const off = Math.abs(head.runs[r].at - t);
      if (off <= least) [best, least] = [i, off];
    });
    return best;
  }

  // told writes the value of a point.
  const told = (line, i, unit) => line.y[i] === null ? '–' : (line.bound?.[i] ?? '') + format(line.y[i], unit);

  // point moves the crosshair. The legends have the values at it; without one, the last ones.
  function point() {
    for (const c of charts) {
      if (!c.plot) continue;
      const run = head.runs[view.run], inside = run && run.at >= view.from && run.at <= view.to;
      c.hair.setAttribute('visibility', inside ? 'visible' : 'hidden');
      c.here.replaceChildren();
      if (inside) for (const side of ['x1', 'x2']) c.hair.setAttribute(side, place(c.plot.x(run.at)));
      for (const [n, e] of c.values) {
        const line = head.lines[n];
        if (inside) {
          const i = pointOf(line, c.plot.width);
          e.replaceChildren(strong(i < 0 ? '–' : told(line, i, c.spec.unit)));
          if (i >= 0 && line.y[i] !== null) c.here.append(node('circle', {class: 'dot ' + line.look, cx: place(c.plot.x(time(line, i))), cy: c.plot.y(line.y[i]), r: 4.5}));
          continue;
        }
        let last = line.y.length - 1;
        while (last >= 0 && line.y[last] === null) last--;
        e.replaceChildren(...last < 0 ? [strong('–')] : ['last ', strong(told(line, last, c.spec.unit))]);
      }
    }
    const run = head.runs[view.run];
    $('#window-at').textContent = run ? date(run.at) + (run.commit ? ' · ' + run.commit : '') : '';
    const whole = view.from <= head.from && view.to >= head.to;
    $('#window-time').textContent = whole ? '' : date(view.from) + ' – ' + date(view.to);
    $('#window').classList.toggle('part', !whole);
    $('#all').disabled = whole;
  }

  function drawAll() {
    frame = 0;
    charts.forEach(draw);
    point();
  }

  // redraw draws everything before the next picture of the screen.
  function redraw() { if (!frame) frame = requestAnimationFrame(drawAll); }

  function zoom(from, to) {
    [from, to] = [clamp(Math.min(from, to), head.from, head.to), clamp(Math.max(from, to), head.from, head.to)];
    if (to - from < 1) return;
    Object.assign(view, {from, to});
    redraw();
  }

  function move(part) {
    const length = view.to - view.from, from = clamp(view.from + part * length, head.from, head.to - length);
    zoom(from, from + length);
  }

  function nearer(factor) {
    const middle = head.runs[view.run]?.at ?? (view.from + view.to) / 2;
    zoom(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
  }

  const reset = () => zoom(head.from, head.to);

  // nearest returns the line and the point of a chart that are nearest to the pointer, or null.
  function nearest(c, e) {
    const box = c.svg.getBoundingClientRect(), px = e.clientX - box.left, py = e.clientY - box.top;
    let best = null, least = Infinity;
    for (const n of c.spec.lines) {
      const line = head.lines[n], [, , first, end] = seen(line);
      for (let i = first; i < end; i++) {
        const dx = c.plot.x(time(line, i)) - px, dy = line.y[i] === null ? 0 : (c.plot.y(line.y[i]) - py) / 4; // the time counts most
        if (dx * dx + dy * dy < least) [best, least] = [{line, i}, dx * dx + dy * dy];
      }
    }
    return best;
  }

  // tip describes the point under the crosshair.
  function tip(c, e, hit) {
    const box = $('#tip'), {line, i} = hit, run = head.runs[line.run[i]], unit = c.spec.unit, step = (line.steps ?? []).find(s => s.at === i);
    box.hidden = false;
    say(box, told(line, i, unit), [
      line.why?.[i] ?? '',
      line.low && line.low[i] !== null && line.y[i] !== null ? format(line.low[i], unit) + ' to ' + format(line.high[i], unit) : '',
      step ? 'the level changed here: ' + step.text : '',
      line.key?.[i] && line.key[i] !== run.commit ? line.key[i] : '',
      line.n && line.n[i] > 1 ? line.n[i] + ' runs, the first: ' + run.id : 'run ' + run.id,
      date(run.at) + (run.host ? ' on ' + run.host : ''),
      run.commit ? 'commit ' + run.commit : '',
      run.tags ? 'tags ' + run.tags : '',
      run.link ? 'click: its page' : '',
    ]);
    beside(box, e);
  }

  // pointing follows the pointer over a chart.
  function pointing(c) {
    const at = e => clamp(view.from + (e.clientX - c.svg.getBoundingClientRect().left - LEFT) / c.plot.width * (view.to - view.from), view.from, view.to);
    let begin = null, hit = null;
    const show = e => {
      hit = nearest(c, e);
      view.run = hit ? hit.line.run[hit.i] : -1;
      point();
      if (hit) tip(c, e, hit);
      else $('#tip').hidden = true;
    };
    const marked = () => begin ? [begin.t, begin.to].map(t => c.plot.x(t)).sort((p, q) => p - q) : [LEFT, LEFT];
    const paint = () => {
      const [a, b] = marked();
      for (const other of charts) {
        other.mark.setAttribute('x', place(a));
        other.mark.setAttribute('width', place(b - a));
      }
    };
    c.svg.addEventListener('pointerdown', e => {
      if (e.button !== 0 || !c.plot) return;
      begin = {t: at(e), to: at(e), x: e.clientX};
      show(e);
    });
    c.svg.addEventListener('pointermove', e => {
      if (!c.plot) return;
      show(e);
      if (!begin) return;
      begin.to = at(e);
      if (Math.abs(e.clientX - begin.x) > 4 && e.pointerType === 'mouse') c.svg.setPointerCapture(e.pointerId);
      paint();
    });
    c.svg.addEventListener('pointerup', e => {
      const drag = begin && Math.abs(e.clientX - begin.x) > 4 ? begin : null;
      begin = null;
      if (!c.plot) return;
      paint();
      if (drag) zoom(drag.t, drag.to);
    });
    c.svg.addEventListener('pointercancel', () => { begin = null; });
    c.svg.addEventListener('pointerleave', e => {
      if (begin || e.pointerType === 'touch') return; // after a touch the values stay
      view.run = -1;
      point();
      $('#tip').hidden = true;
    });
    c.svg.addEventListener('dblclick', reset);
  }

  // keys do with the keyboard what the pointer can.
  function keys(e) {
    if (e.altKey || e.ctrlKey || e.metaKey || e.target !== e.currentTarget) return;
    switch (e.key) {
      case 'ArrowLeft': case 'ArrowRight': { // to the next run in view that has a point
        const drawn = new Set(charts.flatMap(c => c.spec.lines.flatMap(n => head.lines[n].run)));
        const runs = [...drawn].filter(r => head.runs[r].at >= view.from && head.runs[r].at <= view.to).sort((a, b) => a - b);
        if (!runs.length) return;
        const left = e.key === 'ArrowLeft', next = left ? runs.filter(r => r < view.run).pop() : runs.find(r => r > view.run);
        view.run = view.run < 0 && left ? runs[runs.length - 1] : next ?? view.run;
        point();
        break;
      }
      case 'PageUp': move(-0.5); break;
      case 'PageDown': move(0.5); break;
      case '+': case '=': nearer(0.5); break;
      case '-': nearer(2); break;
      case 'Enter': {
        const link = head.runs[view.run]?.link;
        if (!link) return;
        location.href = link;
        break;
      }
      case 'Escape': view.run = -1; point(); break;
      case 'Home': case '0': reset(); break;
      default: return;
    }
    e.preventDefault();
  }

  const over = $('#over-time');
  if (over && head) {
    Object.assign(view, {from: head.from, to: head.to});
    for (const spec of head.charts) {
      const figure = document.getElementById('chart-' + spec.id);
      const c = {spec, svg: $('svg', figure), values: all('[data-line]', figure).map(e => [Number(e.dataset.line), e])};
      pointing(c);
      charts.push(c);
    }
    over.addEventListener('keydown', keys);
    $('#all').addEventListener('click', reset);
    new ResizeObserver(redraw).observe(over);
    addEventListener('beforeprint', () => { // paper has another width
      for (const c of charts) if (c.plot) c.svg.setAttribute('viewBox', '0 0 ' + (LEFT + c.plot.width + RIGHT) + ' ' + (TOP + c.plot.height + BOTTOM));
    });
    addEventListener('afterprint', redraw);
    document.documentElement.classList.add('live');
    redraw();
  }
