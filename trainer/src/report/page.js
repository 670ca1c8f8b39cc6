'use strict';
// Draws the plots of the data above. All text enters the page as text.
(() => {
  const { charts } = JSON.parse(document.getElementById('data').textContent);
  const live = document.getElementById('live');
  const SVG = 'http://www.w3.org/2000/svg';
  const HEIGHT = 190, TOP = 12, BOTTOM = 20, RIGHT = 10;
  const colour = (i) => `var(--s${i % 8})`;

  function make(parent, name, attributes = {}, text) {
    const node = name.startsWith('svg:') ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  function number(n, unit) {
    if (n === null || n === undefined || !isFinite(n)) return '–';
    if (unit === 'share') return trim((100 * n).toPrecision(3)) + '%';
    const size = Math.abs(n), end = unit === 'seconds' ? ' s' : '';
    if (n === 0) return '0' + end;
    if (size >= 1e9) return trim((n / 1e9).toPrecision(4)) + 'G' + end;
    if (size >= 1e6) return trim((n / 1e6).toPrecision(4)) + 'M' + end;
    if (size >= 1e4) return trim((n / 1e3).toPrecision(4)) + 'k' + end;
    if (size <= 1e-3) return n.toExponential(2).replace(/\.?0+e/, 'e') + end;
    return trim(n.toPrecision(end ? 3 : 4)) + end;
  }
  const trim = (text) => (text.includes('.') && !text.includes('e') ? text.replace(/\.?0+$/, '') : text);

  // A round distance that cuts a range into about `n` parts.
  function spacing(range, n) {
    const rough = range / n, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  }

  // The multiples of a distance between two ends.
  function ticks(low, high, step) {
    const out = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) out.push(i * step);
    return out;
  }

  // Index of the point nearest to a step.
  function nearest(x, step) {
    let low = 0, high = x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (x[middle] < step) low = middle; else high = middle;
    }
    return Math.abs(x[low] - step) <= Math.abs(x[high] - step) ? low : high;
  }

  let first = Infinity, last = -Infinity;
  for (const { lines } of charts) for (const { x } of lines) if (x.length) {
    first = Math.min(first, x[0]);
    last = Math.max(last, x[x.length - 1]);
  }
  if (first === last) last += 1;

  function extent(chart) {
    let low = Infinity, high = -Infinity;
    const see = (n) => { if (n !== null) { low = Math.min(low, n); high = Math.max(high, n); } };
    if (chart.stack) {
      low = 0;
      // A single long step, such as the first, must not flatten all others.
      const totals = chart.lines[0].x.map((_, i) => chart.lines.reduce((sum, line) => sum + line.y[i], 0));
      const sorted = [...totals].sort((a, b) => a - b);
      see(Math.min(sorted[sorted.length - 1], 2 * sorted[Math.floor(0.98 * (sorted.length - 1))] || Infinity));
    } else if (chart.whole) {
      return [0, 1];
    } else {
      for (const line of chart.lines) line.y.forEach(see);
      // Shares and sizes read best from zero, if it is not far away.
      if (low > 0 && low < 0.6 * high) low = 0;
    }
    if (!isFinite(low)) return [0, 1];
    if (low === high) return low === 0 ? [0, 1] : [Math.min(0, 2 * low), Math.max(0, 2 * low)];
    if (chart.stack) return [low, high * 1.04];
    const step = spacing(high - low, 4);
    return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  }

  class Plot {
    constructor(figure, chart) {
      Object.assign(this, { figure, chart });
      this.legend = make(figure, 'ul', { class: 'legend' });
      this.values = chart.lines.map((line, i) => {
        const item = make(this.legend, 'li');
        make(item, 'i', { style: `background:${colour(i)}`, 'aria-hidden': 'true' });
        make(item, 'span', {}, this.label(line));
        return make(item, 'b');
      });
      const known = (line) => line.y.filter((n) => n !== null);
      const say = (line) => {
        const y = known(line);
        if (!y.length) return `${line.key}: no numbers`;
        const [low, high] = [y.reduce((a, b) => Math.min(a, b)), y.reduce((a, b) => Math.max(a, b))];
        const ends = [y[0], y[y.length - 1], low, high].map((n) => number(n, chart.unit));
        return `${line.key}: first ${ends[0]}, last ${ends[1]}, lowest ${ends[2]}, highest ${ends[3]}`;
      };
      const label = `${chart.title} by step. ${chart.lines.map(say).join('. ')}`;
      this.svg = make(figure, 'svg:svg', { role: 'img', tabindex: '0', 'aria-label': label });
      this.svg.addEventListener('pointermove', (event) => this.point(event));
      this.svg.addEventListener('pointerdown', (event) => this.point(event));
      this.svg.addEventListener('pointerleave', () => show(null));
      this.svg.addEventListener('blur', () => show(null));
      this.svg.addEventListener('keydown', (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(figure);
    }

    label(line) {
      return line.key.replace(/^(perf\/seconds|perf|eval)\//, '');
    }

    draw() {
      const { svg, chart } = this;
      const width = svg.clientWidth;
      if (!width || width === this.width) return;
      this.width = width;
      svg.replaceChildren();
      svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
      const [low, high] = extent(chart);
      const marks = ticks(low, high, spacing(high - low, 4));
      const texts = marks.map((mark) => number(Math.abs(mark) < 1e-12 * (high - low) ? 0 : mark, chart.unit));
      this.left = 12 + 6.3 * Math.max(...texts.map((text) => text.length));
      const px = (step) => this.left + ((step - first) / (last - first)) * (width - this.left - RIGHT);
      const py = (n) => TOP + (1 - (n - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
      Object.assign(this, { px, py });
      marks.forEach((mark, i) => {
        make(svg, 'svg:line', { class: 'grid', x1: this.left, x2: width - RIGHT, y1: py(mark), y2: py(mark) });
        make(svg, 'svg:text', { x: this.left - 6, y: py(mark) + 4, 'text-anchor': 'end' }, texts[i]);
      });
      make(svg, 'svg:line', { class: 'axis', x1: this.left, x2: width - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM });
      const between = Math.max(1, Math.round(spacing(last - first, Math.max(2, width / 90))));
      for (const step of ticks(first, last, between)) {
        const anchor = px(step) > width - RIGHT - 14 ? 'end' : 'middle';
        make(svg, 'svg:text', { x: px(step), y: HEIGHT - 5, 'text-anchor': anchor }, number(step, 'number'));
      }
      if (chart.stack) this.layers(); else this.paths();
      this.cursor = make(svg, 'svg:g', { visibility: 'hidden' });
      this.at(null);
    }

    paths() {
      this.chart.lines.forEach((line, i) => {
        const trend = line.tx.length > 0;
        this.path(line.x, line.y, { stroke: colour(i), class: trend ? 'thin' : '' });
        if (trend) {
          // A rim of the card's colour keeps the trend apart from dense steps behind it.
          this.path(line.tx, line.ty, { class: 'rim' });
          this.path(line.tx, line.ty, { stroke: colour(i) });
        }
        const known = line.y.map((n, at) => at).filter((at) => line.y[at] !== null);
        // A point between two gaps has no line to be seen by.
        const alone = (at) => (at === 0 || line.y[at - 1] === null) && (at === line.y.length - 1 || line.y[at + 1] === null);
        for (const at of known) if (known.length <= 30 || alone(at)) {
          make(this.svg, 'svg:circle', { cx: this.px(line.x[at]), cy: this.py(line.y[at]), r: 2.4, fill: colour(i) });
        }
      });
    }

    path(x, y, attributes) {
      let d = '', down = false;
      y.forEach((n, i) => {
        if (n !== null) d += `${down ? 'L' : 'M'}${this.px(x[i]).toFixed(1)} ${this.py(n).toFixed(1)}`;
        down = n !== null;
      });
      make(this.svg, 'svg:path', { d, ...attributes });
    }

    layers() {
      const x = this.chart.lines[0].x, n = x.length;
      let base = new Array(n).fill(0);
      const place = (i, y) => `${this.px(x[i]).toFixed(1)} ${Math.max(TOP, this.py(y)).toFixed(1)}`;
      this.chart.lines.forEach((line, layer) => {
        const top = base.map((y, i) => y + line.y[i]);
        if (n === 1) {
          const [y1, y2] = [this.py(top[0]), this.py(base[0])];
          make(this.svg, 'svg:rect', { x: this.px(x[0]) - 12, width: 24, y: y1, height: y2 - y1, fill: colour(layer) });
        } else {
          const up = top.map((y, i) => place(i, y)).join('L');
          const back = base.map((y, i) => place(i, y)).reverse().join('L');
          make(this.svg, 'svg:path', { class: 'layer', d: `M${up}L${back}Z`, style: `fill:${colour(layer)}` });
        }
        base = top;
      });
    }

    point(event) {
      const share = (event.clientX - this.svg.getBoundingClientRect().left - this.left) / (this.width - this.left - RIGHT);
      show(first + Math.min(1, Math.max(0, share)) * (last - first), this);
    }

    key(event) {
      const x = this.chart.lines[0].x;
      const at = this.step === undefined ? x.length - 1 : nearest(x, this.step);
      const jump = Math.max(1, Math.round(x.length / 20));
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageDown: at - jump, PageUp: at + jump, Home: 0, End: x.length - 1 }[event.key];
      if (event.key === 'Escape') { this.step = undefined; show(null); }
      if (to === undefined) return;
      event.preventDefault();
      this.step = x[Math.min(x.length - 1, Math.max(0, to))];
      show(this.step, this);
      live.textContent = `Step ${this.step}. ${this.readings(this.step).map(([line, , n]) => `${this.label(line)} ${n}`).join(', ')}`;
    }

    readings(step) {
      return this.chart.lines.map((line) => {
        const i = step === null ? line.y.findLastIndex((n) => n !== null) : nearest(line.x, step);
        return [line, i, number(line.y[i], this.chart.unit)];
      });
    }

    // Marks a step and gives what stands there; null goes back to the last values.
    at(step) {
      const readings = this.readings(step);
      readings.forEach(([, , text], i) => { this.values[i].textContent = text; });
      if (!this.cursor) return readings;
      this.cursor.setAttribute('visibility', step === null ? 'hidden' : 'visible');
      this.cursor.replaceChildren();
      if (step === null) return readings;
      const [line, i] = readings[0];
      const x = this.px(line.x[i] ?? step);
      make(this.cursor, 'svg:line', { class: 'cursor', x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM });
      if (!this.chart.stack) readings.forEach(([line, i], layer) => {
        if (line.y[i] === null || line.y[i] === undefined) return;
        make(this.cursor, 'svg:circle', { cx: this.px(line.x[i]), cy: this.py(line.y[i]), r: 3.5, fill: colour(layer) });
      });
      return readings;
    }
  }

  const plots = [];
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.setAttribute('aria-hidden', 'true');

  function show(step, source) {
    tip.remove();
    for (const plot of plots) {
      const readings = plot.at(step);
      if (plot !== source || step === null || !readings.length) continue;
      tip.replaceChildren();
      const [line, i] = readings[0];
      make(tip, 'b', {}, `Step ${line.x[i]}`);
      readings.forEach(([line, at, text], layer) => {
        const row = make(tip, 'div');
        make(row, 'i', { style: `background:${colour(layer)}` });
        make(row, 'span', {}, plot.label(line) + (line.x[at] === readings[0][0].x[readings[0][1]] ? '' : ` (step ${line.x[at]})`));
        make(row, 'b', {}, text);
      });
      plot.figure.append(tip);
      const [inner, outer] = [plot.svg.getBoundingClientRect(), plot.figure.getBoundingClientRect()];
      const x = inner.left - outer.left + plot.px(line.x[i]);
      const fits = x + 14 + tip.offsetWidth < plot.figure.clientWidth;
      tip.style.left = `${Math.max(4, fits ? x + 14 : x - 14 - tip.offsetWidth)}px`;
      tip.style.top = `${inner.top - outer.top + TOP}px`;
    }
  }

  for (const figure of document.querySelectorAll('[data-chart]')) {
    plots.push(new Plot(figure, charts[Number(figure.dataset.chart)]));
  }
})();
