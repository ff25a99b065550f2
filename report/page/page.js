  // The script of a report. It draws every chart by one function, from data that a feed hands over. Without it the page
  // shows the same charts as pictures, and all tables.
  const LANE = 15, LANES = 400; // the height of a lane, and the most of all lanes together, in px
  const GAP = 10; // the most columns without a reading over which a line is dotted

  // A feed is a function feed(start, grow). It calls start(head) once: what there is to draw. Then it calls
  // grow(n, part) as often as there is more of line n: part has the mean of each step in `mean`, and if several readings
  // share a step, the least and the most of them in `low` and `high`. At the end of each delivery it calls done().

  // embedded is the feed of a page that has everything in itself: the head as JSON, the lines in base64 of a deflated
  // stream of varints.
  async function embedded(start, grow, done) {
    const head = JSON.parse($('#head').textContent);
    start(head);
    const packed = Uint8Array.from(atob($('#values').textContent.trim()), c => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
    const raw = new Uint8Array(await new Response(stream).arrayBuffer());
    let at = 0;
    const varint = () => {
      let v = 0;
      for (let shift = 0; ; shift += 7) {
        const b = raw[at++];
        v |= (b & 127) << shift;
        if (b < 128) return v >>> 0;
      }
    };
    const bits = new Uint32Array(1), float = new Float32Array(bits.buffer);
    // A code is a float without its last bits, so that codes have the order of the values.
    const value = code => {
      bits[0] = code < 0 ? (-code << head.dropped) | 0x80000000 : code << head.dropped;
      return float[0];
    };
    head.lines.forEach((line, n) => {
      const mean = new Float32Array(line.count), codes = new Int32Array(line.count);
      let code = 0;
      for (let i = 0; i < line.count; i++) {
        const v = varint();
        if (v === 0) { // no reading
          mean[i] = NaN;
          continue;
        }
        code += (v - 1) & 1 ? -(v >>> 1) : (v - 1) >>> 1;
        codes[i] = code;
        mean[i] = value(code);
      }
      const low = Float32Array.from(mean), high = Float32Array.from(mean);
      const differ = new Uint32Array(varint());
      let part = 0;
      for (let i = 0; i < differ.length; i++) differ[i] = part += varint();
      for (const i of differ) low[i] = value(codes[i] - varint());
      for (const i of differ) high[i] = value(codes[i] + varint());
      grow(n, {mean, low, high});
    });
    done();
  }

  // clock writes a time since the start of the run, as finely as the step needs.
  function clock(s, step) {
    const digits = step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step) - 1e-9));
    if (Math.abs(s) < 99.95) return s.toFixed(digits) + ' s';
    const whole = Math.round(s * 10 ** digits) / 10 ** digits;
    const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    if (step >= 60) return h ? h + ' h ' + String(m).padStart(2, '0') : m + ' min';
    const sec = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, '0');
    return h ? h + ':' + String(m).padStart(2, '0') + ':' + sec : m + ':' + sec;
  }

  // The time that all charts show, where the crosshair stands (NaN: nowhere), and the marked part of the time.
  const view = {from: 0, to: 1, at: NaN, mark: null};
  let head, lines = [], charts = [], regions = [], events = [], frame = 0, ready = false; // ready: all lines of the first delivery are there

  const indexAt = (line, t) => Math.round((t - line.start) / line.step);

  // joined returns both arrays as one.
  function joined(a, b) {
    if (!a || !a.length) return b;
    const out = new Float32Array(a.length + b.length);
    out.set(a);
    out.set(b, a.length);
    return out;
  }

  // figures returns what a line did in a time: its extremes, its mean, and its integral.
  function figures(line, from, to) {
    let low = Infinity, high = -Infinity, sum = 0, time = 0;
    const first = Math.max(0, Math.floor((from - line.start) / line.step + 0.5)),
      last = Math.min(line.mean.length - 1, Math.ceil((to - line.start) / line.step - 0.5));
    for (let i = first; i <= last; i++) {
      const v = line.mean[i];
      if (isNaN(v)) continue;
      const middle = line.start + i * line.step;
      const part = Math.min(to, middle + line.step / 2) - Math.max(from, middle - line.step / 2);
      if (part > 0) {
        sum += v * part;
        time += part;
      }
      if (line.low[i] < low) low = line.low[i];
      if (line.high[i] > high) high = line.high[i];
    }
    return {low, high, mean: time > 0 ? sum / time : NaN, sum: time > 0 ? sum : NaN};
  }

  // columns thins what is in view to about one column for each pixel: the time, and the least, the most and the mean.
  function columns(line, width) {
    const n = line.mean.length, first = clamp(Math.floor((view.from - line.start) / line.step) - 1, 0, n),
      end = clamp(Math.ceil((view.to - line.start) / line.step) + 2, 0, n);
    const size = Math.max(1, Math.ceil((end - first) / Math.max(1, width)));
    const out = [];
    for (let i = size === 1 ? first : first - first % size; i < end; i += size) {
      let low = Infinity, high = -Infinity, sum = 0, count = 0;
      for (let k = i; k < Math.min(i + size, n); k++) {
        if (isNaN(line.mean[k])) continue;
        if (line.low[k] < low) low = line.low[k];
        if (line.high[k] > high) high = line.high[k];
        sum += line.mean[k];
        count++;
      }
      out.push({t: line.start + (i + (size - 1) / 2) * line.step, low: count ? low : NaN, high: count ? high : NaN, mean: sum / count});
    }
    return out;
  }

  // stepOf returns a round step of time, of which about count fit into the view.
  function stepOf(count) {
    const least = (view.to - view.from) / Math.max(1, count);
    for (const s of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200])
      if (least <= s && least > 0.5) return s;
    const scale = 10 ** Math.floor(Math.log10(least));
    for (const r of [1, 2, 5, 10]) if (least <= r * scale) return r * scale;
    return 86400;
  }

  // frameOf draws what all plots have: the axes and the crosshair. It returns where a time is.
  function frameOf(c, width, height) {
    const x = t => LEFT + (t - view.from) / (view.to - view.from) * width;
    const grid = node('g', {class: 'grid'}), text = node('g', {class: 'axis'});
    const step = stepOf(width / 80);
    for (let t = Math.ceil(view.from / step - 1e-9) * step; t <= view.to * (1 + 1e-9); t += step) {
      const at = place(x(t));
      grid.append(node('line', {x1: at, x2: at, y1: TOP, y2: TOP + height}));
      const end = at > LEFT + width - 18;
      text.append(node('text', {x: end ? LEFT + width + RIGHT - 2 : at, y: TOP + height + 13, 'text-anchor': end ? 'end' : 'middle'}, clock(Math.abs(t) < step / 1e6 ? 0 : t, step)));
    }
    c.svg.setAttribute('height', TOP + height + BOTTOM);
    c.svg.removeAttribute('viewBox');
    c.svg.replaceChildren(grid, text);
    c.plot = {width, height, x};
    return x;
  }

  // clipped returns a new group of a plot. It shows nothing outside the plot.
  function clipped(c) {
    const clip = 'clip-' + c.spec.id, group = node('g', {'clip-path': 'url(#' + clip + ')'});
    c.svg.append(node('clipPath', {id: clip}, node('rect', {x: LEFT, y: 0, width: c.plot.width, height: TOP + c.plot.height + 1})), group);
    return group;
  }

  // across draws what lies behind each chart: the wide regions, unless they have lanes, and the events.
  function across(c, group) {
    if (!head.regions) return;
    const x = c.plot.x, paths = {}, ends = {}, bottom = place(TOP + c.plot.height);
    if (!c.list) for (const r of regions) {
      if (!r.wide || r.to < view.from || r.from > view.to) continue;
      const from = x(Math.max(r.from, view.from)), to = x(Math.min(r.to, view.to));
      if (to < (ends[r.look] ?? -1) + 0.5) continue; // it would not be seen
      ends[r.look] = to;
      paths[r.look] = (paths[r.look] ?? '') + 'M' + place(from) + ' ' + TOP + 'H' + place(Math.max(to, from + 0.5)) + 'V' + bottom + 'H' + place(from) + 'Z';
    }
    for (const look in paths) group.append(node('path', {class: 'region ' + look, d: paths[look]}));
    let d = '', last = -1;
    for (const e of events) {
      const at = x(e.at);
      if (e.at < view.from || e.at > view.to || at < last + 0.5) continue;
      d += 'M' + place(at) + ' ' + TOP + 'V' + bottom;
      last = at;
    }
    if (d) group.append(node('path', {class: 'event', d}));
  }

  // hair adds what moves over a plot: the marked part and the crosshair.
  function hair(c) {
    c.mark = node('rect', {class: 'mark', y: TOP, height: c.plot.height, width: 0, x: LEFT});
    c.hair = node('line', {class: 'hair', y1: TOP, y2: TOP + c.plot.height + 4, visibility: 'hidden'});
    c.svg.append(c.mark, c.hair);
  }

  const widthOf = c => Math.max(60, c.svg.getBoundingClientRect().width - LEFT - RIGHT);

  // draw draws a chart of lines.
  function draw(c) {
    const width = widthOf(c), height = c.svg.clientWidth < 500 ? 84 : 104, x = frameOf(c, width, height);
    const shown = c.lines.filter(l => lines[l].mean && lines[l].mean.length).map(l => ({n: l, spec: head.lines[l], columns: columns(lines[l], width)}));
    const layers = c.spec.stacked ? shown.filter(s => s.spec.fill) : [];
    layers.forEach((s, k) => { // a layer begins at the top of the one before
      if (k === 0) return;
      s.columns = s.columns.map((p, i) => {
        const under = layers[k - 1].columns[i];
        const mean = p.mean + (under ? under.mean : NaN);
        return {t: p.t, low: mean, high: mean, mean};
      });
    });
    let most = 0, least = 0;
    for (const s of shown) for (const p of s.columns) {
      const high = layers.includes(s) ? p.mean : p.high;
      if (high > most) most = high;
      if (p.low < least) least = p.low;
    }
    if (c.spec.limit && most > c.spec.limit / 3) most = Math.max(most, c.spec.limit);
    const top = ceiling(most, c.spec.unit), bottom = least < 0 ? -ceiling(-least, c.spec.unit) : 0;
    const y = v => place(TOP + (top - clamp(v, bottom, top)) / (top - bottom) * height);
    const text = $('.axis', c.svg), grid = $('.grid', c.svg);
    for (const v of bottom < 0 ? [bottom, 0, top] : [0, top / 2, top]) {
      grid.append(node('line', {x1: LEFT, x2: LEFT + width, y1: y(v), y2: y(v)}));
      text.append(node('text', {x: LEFT - 6, y: y(v) + 4, 'text-anchor': 'end'}, axisValue(v, c.spec.unit)));
    }
    if (c.spec.limit && c.spec.limit <= top) c.svg.append(node('line', {class: 'limit', x1: LEFT, x2: LEFT + width, y1: y(c.spec.limit), y2: y(c.spec.limit)}));
    const group = clipped(c);
    across(c, group);
    const areas = shown.filter(s => s.spec.fill);
    for (const s of areas.reverse()) // the highest layer first, so that the others cover it
      group.append(node('path', {class: (layers.length ? 'layer ' : 'area ') + s.spec.look, d: area(s.columns, x, y, layers.includes(s))}));
    for (const s of shown) if (!layers.includes(s)) {
      const [line, gaps] = stroke(s.columns, x, y, s.spec.sparse);
      group.append(node('path', {class: 'line ' + s.spec.look, d: line}));
      if (gaps) group.append(node('path', {class: 'line gap ' + s.spec.look, d: gaps}));
    }
    hair(c);
  }

  // stroke returns a line through all columns, and what joins it where nothing was read for a short time. Where a column has several readings, the
  // line goes up and down between them. A sparse line joins its readings over everything, and has a dot for each.
  function stroke(points, x, y, sparse) {
    let d = '', gaps = '', down = false, end = null, last = 0;
    for (const [i, p] of points.entries()) {
      if (isNaN(p.mean)) {
        down = down && sparse;
        continue;
      }
      const at = place(x(p.t)), high = y(p.high), low = y(p.low);
      const [a, b] = end && Math.abs(low - end[1]) < Math.abs(high - end[1]) ? [low, high] : [high, low];
      if (!down && end && i - last <= GAP) gaps += 'M' + end[0] + ' ' + end[1] + 'L' + at + ' ' + a;
      d += (down ? 'L' : 'M') + at + ' ' + a;
      if (a !== b) d += 'V' + b;
      else if (sparse || !down && (i + 1 === points.length || isNaN(points[i + 1].mean))) d += 'h0.1'; // a dot
      end = [at, b];
      last = i;
      down = true;
    }
    return [d, gaps];
  }

  function area(points, x, y, mean) {
    let d = '', run = [];
    const flush = () => {
      if (run.length > 1) d += 'M' + run[0][0] + ' ' + y(0) + run.map(p => 'L' + p[0] + ' ' + p[1]).join('') + 'L' + run[run.length - 1][0] + ' ' + y(0) + 'Z';
      run = [];
    };
    for (const p of points) isNaN(p.mean) ? flush() : run.push([place(x(p.t)), y(mean ? p.mean : p.high)]);
    flush();
    return d;
  }

  // timeline draws processes or regions as bars.
  function timeline(c) {
    const high = Math.min(LANE, LANES / c.lanes), gap = high >= 3 ? 1 : 0, width = widthOf(c), height = high * c.lanes;
    const x = frameOf(c, width, height), group = clipped(c);
    c.high = high;
    const ends = []; // where the last bar of each lane ends, in px
    for (const p of c.list) {
      if (p.to < view.from || p.from > view.to) continue;
      const from = x(Math.max(p.from, view.from)), to = Math.max(x(Math.min(p.to, view.to)), from + 1);
      if (to < (ends[p.lane] ?? -1) + 0.5) continue; // it would not be seen
      ends[p.lane] = to;
      group.append(node('rect', {class: 'bar ' + p.look + (p === c.chosen ? ' chosen' : ''), x: place(from), y: place(TOP + p.lane * high), width: Math.max(1, place(to - from - (to - from > 3 ? 1 : 0))), height: place(high - gap)}));
      if (high >= 12 && to - from > 7 * p.name.length + 6) group.append(node('text', {class: 'name', x: place(from) + 4, y: TOP + p.lane * high + high - 4}, p.name));
    }
    if (c.spec.regions) across(c, group);
    hair(c);
  }

  // The legend says the values at the crosshair; without one, the mean and the most of what is in view.
  function legends() {
    for (const c of charts) {
      for (const [n, e] of c.values) {
        const line = lines[n], unit = c.spec.unit;
        if (!line.mean || !line.mean.length) continue;
        if (!isNaN(view.at)) {
          let i = indexAt(line, view.at);
          while (line.sparse && i > 0 && isNaN(line.mean[i] ?? NaN)) i--; // the last one that is known
          e.replaceChildren(strong(format(line.mean[i], unit)));
          continue;
        }
        const f = figures(line, view.from, view.to);
        if (isNaN(f.mean)) e.replaceChildren(strong('–'));
        else e.replaceChildren(strong(format(f.mean, unit)), ' max ' + format(f.high, unit));
      }
    }
  }

  // within names the regions in a part of the time that took most of it.
  function within(from, to) {
    const time = new Map();
    for (const r of regions) {
      const part = Math.min(to, r.to) - Math.max(from, r.from);
      if (part > 0) time.set(r.path, (time.get(r.path) ?? 0) + (r.to > r.from ? part / (r.to - r.from) * r.wall : 0));
    }
    const most = [...time].sort((a, b) => b[1] - a[1]);
    return most.slice(0, 3).map(([path, s]) => cut(path) + ' ' + duration(s)).concat(most.length > 3 ? [most.length - 3 + ' more regions'] : []);
  }

  const cut = s => s.length > 40 ? s.slice(0, 39) + '…' : s;

  // sums says what was used in the marked part of the time, or in what is in view.
  function sums() {
    const [from, to] = view.mark ? [Math.min(...view.mark), Math.max(...view.mark)] : [view.from, view.to];
    const whole = !view.mark && from <= head.from && to >= head.to, step = (to - from) / 100;
    const out = [];
    for (const s of head.sums) {
      let v = 0;
      for (const n of s.lines) v += lines[n].mean ? figures(lines[n], from, to).sum : NaN;
      if (!isNaN(v)) out.push(s.label + ' ' + format(v, s.unit) + (s.mark ? ' ' + s.mark : ''));
    }
    $('#window-time').textContent = whole ? 'whole time, ' + duration(to - from) + ':'
      : 'in this window of ' + duration(to - from) + ' (' + clock(from, step) + ' – ' + clock(to, step) + '):';
    if (!whole) out.push(...within(from, to));
    $('#window-sums').textContent = out.join(' · ');
    $('#all').disabled = view.from <= head.from && view.to >= head.to;
    $('#window').classList.toggle('part', !whole);
  }

  // point moves the crosshair and the mark, without drawing the charts anew.
  function point() {
    for (const c of charts) {
      if (!c.plot) continue;
      const inside = !isNaN(view.at) && view.at >= view.from && view.at <= view.to;
      c.hair.setAttribute('visibility', inside ? 'visible' : 'hidden');
      if (inside) for (const side of ['x1', 'x2']) c.hair.setAttribute(side, place(c.plot.x(view.at)));
      const [a, b] = view.mark ? view.mark.map(t => c.plot.x(clamp(t, view.from, view.to))).sort((p, q) => p - q) : [LEFT, LEFT];
      c.mark.setAttribute('x', place(a));
      c.mark.setAttribute('width', place(b - a));
    }
    const inner = regions.filter(r => r.from <= view.at && view.at < r.to).pop();
    $('#window-at').textContent = isNaN(view.at) ? '' : 'at ' + clock(view.at, (view.to - view.from) / 1000) + (inner ? ' in ' + cut(inner.path) : '');
    legends();
    sums();
  }

  function drawAll() {
    frame = 0;
    for (const c of charts) c.list ? timeline(c) : draw(c);
    point();
  }

  // redraw draws everything before the next picture of the screen.
  function redraw() { if (ready && !frame) frame = requestAnimationFrame(drawAll); }

  function zoom(from, to) {
    const least = (head.to - head.from) / 1e6;
    [from, to] = [clamp(Math.min(from, to), head.from, head.to), clamp(Math.max(from, to), head.from, head.to)];
    if (to - from < least) return;
    Object.assign(view, {from, to, mark: null});
    redraw();
  }

  // move moves the view by a part of its length.
  function move(part) {
    const length = view.to - view.from, from = clamp(view.from + part * length, head.from, head.to - length);
    zoom(from, from + length);
  }

  function nearer(factor, at) {
    const middle = isNaN(at) ? (view.from + view.to) / 2 : at;
    zoom(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
  }

  const reset = () => zoom(head.from, head.to);

  // pointing follows the pointer over a chart.
  function pointing(c) {
    const time = e => {
      const box = c.svg.getBoundingClientRect();
      return clamp(view.from + (e.clientX - box.left - LEFT) / c.plot.width * (view.to - view.from), view.from, view.to);
    };
    let begin = null;
    c.svg.addEventListener('pointerdown', e => {
      if (e.button !== 0 || !c.plot) return;
      begin = {t: time(e), x: e.clientX};
      view.mark = null;
      view.at = begin.t;
      point();
      if (e.pointerType === 'mouse') c.svg.setPointerCapture(e.pointerId);
    });
    c.svg.addEventListener('pointermove', e => {
      if (!c.plot) return;
      view.at = time(e);
      if (begin && Math.abs(e.clientX - begin.x) > 4) view.mark = [begin.t, view.at];
      point();
      tip(c, e);
    });
    c.svg.addEventListener('pointerup', e => {
      const marked = begin && view.mark;
      begin = null;
      if (marked && !e.shiftKey) zoom(...marked); // with shift the part stays marked
    });
    c.svg.addEventListener('pointercancel', () => { begin = null; });
    c.svg.addEventListener('pointerleave', e => {
      if (begin || e.pointerType === 'touch') return; // after a touch the values stay
      view.at = NaN;
      point();
      $('#tip').hidden = true;
    });
    c.svg.addEventListener('dblclick', reset);
  }

  // tellRegion fills the tooltip with a region, or with several that are drawn together.
  function tellRegion(r) {
    say($('#tip'), cut(r.path) + (r.others ? ' and others' : r.count > 1 ? ' ×' + r.count : ''), [
      r.others ? r.count + ' regions, the longest ' + cut(r.path) : r.path.length > 40 ? r.path : '',
      duration(r.wall) + ', ' + clock(r.from, (r.to - r.from) / 10) + ' – ' + clock(r.to, (r.to - r.from) / 10),
      r.cpu == null ? '' : 'CPU time ' + format(r.cpu, 's'),
      r.energy == null ? '' : head.regions.energy + ' ' + format(r.energy, 'J') + ' ' + (head.regions.mark ?? ''),
    ]);
  }

  const tellEvent = e => say($('#tip'), cut(e.name), [e.name.length > 40 ? e.name : '', 'event at ' + clock(e.at, (view.to - view.from) / 1000), e.count > 1 ? 'and ' + (e.count - 1) + ' more' : '']);

  // nearEvent returns the event near the crosshair.
  function nearEvent(near) {
    let best;
    for (const e of events) if (Math.abs(e.at - view.at) <= (best ? Math.abs(best.at - view.at) : near)) best = e;
    return best;
  }

  // choosing lets the keyboard go from region to region and from event to event. The tooltip tells of each.
  function choosing(c) {
    const list = [...regions, ...events].sort((a, b) => (a.from ?? a.at) - (b.from ?? b.at));
    const choose = one => {
      c.chosen = one;
      $('#tip').hidden = !one;
      view.at = one ? (one.at ?? (Math.max(one.from, view.from) + Math.min(one.to, view.to)) / 2) : NaN;
      drawAll();
      if (!one) return;
      one.path === undefined ? tellEvent(one) : tellRegion(one);
      c.svg.setAttribute('aria-label', $('#tip').textContent);
      const box = c.svg.getBoundingClientRect();
      beside($('#tip'), {clientX: box.left + c.plot.x(view.at), clientY: box.top + TOP + ((one.lane ?? 0) + 1) * c.high});
    };
    c.svg.setAttribute('tabindex', '0');
    c.svg.setAttribute('role', 'application');
    c.svg.addEventListener('focus', () => { if (c.svg.matches(':focus-visible') && !c.chosen) choose(list.find(o => (o.to ?? o.at) >= view.from)); });
    c.svg.addEventListener('blur', () => { if (c.chosen) choose(undefined); });
    c.svg.addEventListener('keydown', e => {
      const at = list.indexOf(c.chosen);
      if (e.shiftKey || e.altKey || e.ctrlKey || e.metaKey) return;
      if (e.key === 'ArrowLeft') choose(list[Math.max(0, at - 1)]);
      else if (e.key === 'ArrowRight') choose(list[Math.min(list.length - 1, at + 1)]);
      else if (e.key === 'Enter' && c.chosen?.to > c.chosen?.from) {
        zoom(c.chosen.from, c.chosen.to);
        choose(c.chosen);
      } else return;
      e.preventDefault();
      e.stopPropagation();
    });
  }

  // tip describes the process, the region or the event under the pointer.
  function tip(c, e) {
    const box = $('#tip'), near = 2 / c.plot.width * (view.to - view.from), event = c.spec.processes ? undefined : nearEvent(2 * near);
    if (!c.list || event) {
      box.hidden = !event;
      if (!event) return;
      tellEvent(event);
      beside(box, e);
      return;
    }
    const rect = c.svg.getBoundingClientRect(), lane = Math.floor((e.clientY - rect.top - TOP) / c.high);
    const p = c.list.find(p => p.lane === lane && p.from - near <= view.at && view.at <= p.to + near);
    box.hidden = !p;
    if (!p) return;
    if (c.spec.regions) {
      tellRegion(p);
      beside(box, e);
      return;
    }
    say(box, p.name, [
      'process ' + p.pid + ', ' + clock(p.from, 0.1) + ' – ' + clock(p.to, 0.1) + ' (' + duration(p.to - p.from) + ')',
      'CPU time ' + format(p.cpu, 's') + (head.cpu > 0 ? ', ' + three(100 * p.cpu / head.cpu) + ' % of all' : ''),
      p.memory == null ? '' : 'peak memory ' + format(p.memory, 'By'),
      p.read == null && p.written == null ? '' : 'read ' + format(p.read ?? NaN, 'By') + ', written ' + format(p.written ?? NaN, 'By'),
      p.energy == null ? '' : 'energy ' + format(p.energy, 'J') + ' ≈',
    ]);
    beside(box, e);
  }

  // keys do with the keyboard what the pointer can.
  function keys(e) {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const step = (view.to - view.from) / 100;
    switch (e.key) {
      case 'ArrowLeft': case 'ArrowRight': {
        const before = isNaN(view.at) ? (view.from + view.to) / 2 : view.at;
        view.at = clamp(before + (e.key === 'ArrowLeft' ? -step : step), view.from, view.to);
        view.mark = e.shiftKey ? [view.mark ? view.mark[0] : before, view.at] : null;
        point();
        break;
      }
      case 'PageUp': move(-0.5); break;
      case 'PageDown': move(0.5); break;
      case '+': case '=': nearer(0.5, view.at); break;
      case '-': nearer(2, view.at); break;
      case 'Enter': if (!view.mark) return; zoom(...view.mark); break;
      case 'Escape': view.at = NaN; view.mark = null; point(); break;
      case 'Home': case '0': reset(); break;
      default: return;
    }
    e.preventDefault();
  }

  // start takes what there is to draw from the feed.
  function start(given) {
    head = given;
    lines = head.lines.map(l => ({start: l.start, step: l.step, sparse: l.sparse}));
    if (head.regions) {
      const {paths, looks} = head.regions;
      regions = head.regions.rows.map(r => ({
        path: paths[r[0]], look: looks[r[0]], lane: r[1], from: r[2], to: r[3], count: r[4], others: r[5], wall: r[6], cpu: r[7], energy: r[8], wide: r[9],
        name: r[5] || r[4] > 1 ? '' : paths[r[0]].split('/').pop(),
      }));
      events = head.regions.events.map(e => ({at: e[0], name: e[1], count: e[2]}));
    }
    Object.assign(view, {from: head.from, to: head.to});
    for (const spec of head.charts) {
      const figure = document.getElementById('chart-' + spec.id);
      if (!figure) continue;
      const c = {spec, figure, svg: $('svg', figure), lines: spec.lines || [], values: all('[data-line]', figure).map(e => [Number(e.dataset.line), e])};
      if (spec.processes) {
        c.list = head.processes.rows.map(r => ({
          name: head.processes.names[r[0]], look: head.processes.looks[r[0]], pid: r[1], lane: r[2], from: r[3], to: r[4],
          cpu: r[5], memory: r[6], read: r[7], written: r[8], energy: r[9],
        }));
        c.lanes = head.processes.lanes;
      }
      if (spec.regions) {
        c.list = regions;
        c.lanes = head.regions.lanes;
        if (regions.length || events.length) choosing(c);
      }
      pointing(c);
      charts.push(c);
    }
  }

  function grow(n, part) {
    const line = lines[n];
    for (const key of ['mean', 'low', 'high']) line[key] = joined(line[key], part[key] || part.mean);
  }

  const over = $('#over-time');
  if (over && window.DecompressionStream && $('#values')) {
    over.addEventListener('keydown', keys);
    $('#all').addEventListener('click', reset);
    new ResizeObserver(redraw).observe(over);
    addEventListener('beforeprint', () => { // paper has another width
      for (const c of charts) if (c.plot) c.svg.setAttribute('viewBox', '0 0 ' + (LEFT + c.plot.width + RIGHT) + ' ' + (TOP + c.plot.height + BOTTOM));
    });
    addEventListener('afterprint', redraw);
    embedded(start, grow, () => {
      ready = true;
      document.documentElement.classList.add('live');
      redraw();
    });
  }
