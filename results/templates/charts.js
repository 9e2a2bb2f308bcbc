"use strict";
(function () {
  const $ = (id) => document.getElementById(id);
  const [TABLE, METHOD, BITS, METRIC, MEAN, STD, N] = Array(7).keys();
  const CHARTS = {
    bits: { title: "Metric against code length", log: true },
    precision_recall: { title: "Precision against recall, by Hamming radius", curve: "precision_recall", x: "recall", y: "precision" },
    precision: { title: "Precision of the nearest N", curve: "cutoffs", x: "N nearest items", y: "precision", log: true },
    recall: { title: "Recall of the nearest N", curve: "cutoffs", x: "N nearest items", y: "recall", log: true },
  };
  const DASHES = ["", "7 3", "2 3", "8 3 2 3"]; // one for each eight colours
  const MARKERS = [ // paths of about 8 pixels around their middle
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z", "M-3.2 -3.2h6.4v6.4h-6.4z", "M0 -4.4L4.4 0L0 4.4L-4.4 0z",
    "M0 -4.2L4 3.2H-4z", "M0 4.2L4 -3.2H-4z", "M-1.3 -4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
    "M-4 0L3.2 -4V4z",
  ];
  const choice = { table: $("c-table"), chart: $("c-chart"), metric: $("c-metric"), bits: $("c-bits") };
  const svg = $("chart");
  const hidden = new Set(); // names of rows
  let lines = []; // {place, points: [{x, y, low, high, at, text}]}
  let spots = []; // of the lines shown: {line, n, x, y} in pixels
  let current = null; // the spot whose value is shown

  // ---- what is drawn -------------------------------------------------------------------------
  const method = (place) => { const [name, kind, title, colour] = report.methods[place]; return { name, kind, title, colour }; };
  const number = (select) => Number(select.value);

  function linesOf(table, name) {
    return name === "bits" ? againstBits(table, number(choice.metric)) : curves(table, CHARTS[name], number(choice.bits));
  }
  function againstBits(table, metric) {
    const found = new Map();
    for (const e of report.entries) {
      if (e[TABLE] !== table || e[METRIC] !== metric) continue;
      const spread = e[STD] === null ? "" : ` ± ${fixed(e[STD])}, n = ${e[N]}`;
      const lengths = e[BITS] ? [e[BITS]] : report.tables[table].bits.filter(Boolean); // without codes one value holds for all
      const points = lengths.map((x) => ({ x, y: e[MEAN], low: e[MEAN] - (e[STD] ?? 0), high: e[MEAN] + (e[STD] ?? 0),
                                           at: `${x} bits`, text: `${fixed(e[MEAN])}${spread}` }));
      if (!found.has(e[METHOD])) found.set(e[METHOD], []);
      found.get(e[METHOD]).push(...points);
    }
    return [...found].map(([place, points]) => ({ place, points: points.sort((a, b) => a.x - b.x) })).filter((l) => l.points.length);
  }
  function curves(table, chart, bits) {
    const found = [];
    for (const place of report.methods.keys()) {
      const own = report.curves[`${table} ${place} ${bits}`] ?? report.curves[`${table} ${place} 0`];
      if (!own || !own[chart.curve]) continue;
      const [at, first, second] = own[chart.curve];
      const points = at.map((number, n) => {
        if (chart.curve === "cutoffs") {
          const y = chart.y === "precision" ? first[n] : second[n];
          return { x: number, y, at: `N = ${number.toLocaleString("en")}`, text: `${chart.y} ${fixed(y)}` };
        }
        return { x: first[n], y: second[n], at: `radius ${number}`, text: `recall ${fixed(first[n])}, precision ${fixed(second[n])}` };
      });
      found.push({ place, points });
    }
    return found;
  }

  // ---- scales --------------------------------------------------------------------------------
  function scale(from, to, start, end, log) {
    const f = log ? Math.log : (v) => v;
    const width = f(to) - f(from);
    return (v) => (width ? start + (end - start) * (f(v) - f(from)) / width : (start + end) / 2);
  }
  function steps(low, high, count) {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough);
    const first = Math.ceil(low / step - 1e-9);
    const n = Math.floor(high / step + 1e-9) - first;
    return Array.from({ length: n + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
  }
  function powers(low, high) {
    const found = [];
    for (let n = 1; n <= high; n *= 10) if (n >= low) found.push(n);
    return found.length > 1 ? found : unique([low, high]);
  }

  // ---- drawing -------------------------------------------------------------------------------
  function add(parent, tag, attributes, text) {
    const made = document.createElementNS(svg.namespaceURI, tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }
  function look(place) {
    const { name, colour } = method(place);
    if (colour === null) return { class: "ink", dash: name === "float" ? "6 3" : "2 3", marker: null };
    const variant = name.includes("(");
    return { class: `c${colour % 8}`, dash: variant ? "4 2" : DASHES[Math.floor(colour / 8) % DASHES.length],
             marker: MARKERS[(colour + 3 * variant) % MARKERS.length] };
  }
  const shown = () => lines.filter((line) => !hidden.has(method(line.place).name));

  function draw() {
    const name = choice.chart.value;
    const chart = CHARTS[name];
    const [width, left, right, top, bottom] = [$("chart-box").clientWidth, 56, 14, 12, 46];
    const height = Math.round(Math.min(440, Math.max(280, width * 0.55)));
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    clear();
    const points = (shown().length ? shown() : lines).flatMap((line) => line.points);
    const xs = points.map((p) => p.x);
    let [x0, x1] = chart.log ? [Math.min(...xs), Math.max(...xs)] : [0, 1];
    if (name === "bits" && x0 < x1) [x0, x1] = [x0 / 2 ** 0.12, x1 * 2 ** 0.12];
    const [low, high] = [Math.min(...points.map((p) => p.low ?? p.y)), Math.max(...points.map((p) => p.high ?? p.y))];
    const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    const [y0, y1] = name === "bits" ? [low < 0 ? low - room : Math.max(0, low - room), high + room]
      : [0, name === "precision_recall" ? 1 : high + room];
    const x = scale(x0, x1, left, width - right, chart.log);
    const y = scale(y0, y1, height - bottom, top);

    const axes = add(svg, "g", { class: "axes", "aria-hidden": "true" });
    for (const tick of steps(y0, y1, 5)) {
      add(axes, "line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "rule" });
      add(axes, "text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, tick.toLocaleString("en", { maximumFractionDigits: 4 }));
    }
    const ticks = name === "bits" ? unique(xs).sort((a, b) => a - b) : chart.log ? powers(x0, x1) : steps(0, 1, 5);
    for (const tick of ticks) {
      add(axes, "line", { x1: x(tick), x2: x(tick), y1: height - bottom, y2: height - bottom + 5, class: "tick" });
      add(axes, "text", { x: x(tick), y: height - bottom + 19, "text-anchor": "middle" }, tick.toLocaleString("en"));
    }
    add(axes, "line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "tick" });
    add(axes, "text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, name === "bits" ? "code length (bits)" : chart.x);
    add(axes, "text", { transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
      name === "bits" ? report.metrics[number(choice.metric)] : `${chart.y}, ${choice.bits.value} bits`);

    spots = [];
    for (const line of shown()) {
      const { class: colour, dash, marker } = look(line.place);
      const group = add(svg, "g", { class: `line ${colour}`, "data-method": method(line.place).name, "aria-hidden": "true" });
      const at = line.points.map((p) => [x(p.x), y(p.y)]);
      if (marker && line.points.some((p) => p.high > p.low)) {
        const band = [...line.points.map((p) => [x(p.x), y(p.high)]), ...line.points.map((p) => [x(p.x), y(p.low)]).reverse()];
        add(group, "path", { class: "band", d: `M${band.map((p) => p.join(" ")).join("L")}z` });
      }
      const ends = at.length === 1 && !marker ? [[left, at[0][1]], [width - right, at[0][1]]] : at;
      add(group, "path", { class: "stroke", d: `M${ends.map((p) => p.join(" ")).join("L")}`, "stroke-dasharray": dash });
      const every = Math.ceil(at.length / 12);
      at.forEach(([px, py], n) => {
        if (marker && n % every === 0) add(group, "path", { class: "marker", d: marker, transform: `translate(${px} ${py})` });
        spots.push({ line, n, x: px, y: py });
      });
    }
    add(svg, "circle", { id: "chart-point", r: 6.5, visibility: "hidden" });
    const what = name === "bits" ? report.metrics[number(choice.metric)] : `${choice.bits.value} bits`;
    svg.setAttribute("aria-label", `${chart.title}, ${what}, ${choice.table.selectedOptions[0].textContent}: ${shown().length} of ${lines.length} lines shown`);
    tabulate(name, chart);
  }

  function legend() {
    $("chart-legend").replaceChildren(...lines.map((line) => {
      const { name, kind, title } = method(line.place);
      const button = element("button", null, { type: "button", "aria-pressed": String(!hidden.has(name)), "data-method": name });
      const { class: colour, dash, marker } = look(line.place);
      const sample = add(button, "svg", { class: `line ${colour}`, width: 30, height: 12, "aria-hidden": "true" });
      add(sample, "path", { class: "stroke", d: "M1 6H29", "stroke-dasharray": dash });
      if (marker) add(sample, "path", { class: "marker", d: marker, transform: "translate(15 6)" });
      button.append(title);
      if (kind !== "method") button.append(" ", element("small", kind));
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        button.setAttribute("aria-pressed", String(!hidden.has(name)));
        draw();
      });
      return button;
    }));
  }
  function every(visible) {
    for (const line of lines) hidden[visible ? "delete" : "add"](method(line.place).name);
    legend();
    draw();
  }

  function tabulate(name, chart) {
    if (!$("chart-data").open) return $("chart-table").replaceChildren();
    const heads = name === "bits" ? ["method", "code length", report.metrics[number(choice.metric)]]
      : ["method", chart.curve === "cutoffs" ? "nearest" : "Hamming radius", `at ${choice.bits.value} bits`];
    const rows = shown().flatMap((line) => line.points.map((p) => [method(line.place).title, p.at, p.text]));
    return $("chart-table").replaceChildren(grid(chart.title, heads, rows));
  }

  // ---- values --------------------------------------------------------------------------------
  function clear() {
    current = null;
    $("chart-value").hidden = true;
    $("chart-point")?.setAttribute("visibility", "hidden");
    for (const group of svg.querySelectorAll(".line")) group.classList.remove("behind");
  }
  function show(spot, aloud) {
    current = spot;
    const point = spot.line.points[spot.n];
    const { name, title } = method(spot.line.place);
    const box = $("chart-value");
    box.replaceChildren(element("strong", title), element("span", `${point.at}: ${point.text}`));
    box.hidden = false;
    const [width, across] = [$("chart-box").clientWidth, box.offsetWidth];
    box.style.left = `${Math.min(Math.max(0, spot.x - across / 2), width - across)}px`;
    box.style.top = `${spot.y > box.offsetHeight + 18 ? spot.y - box.offsetHeight - 14 : spot.y + 14}px`;
    const ring = $("chart-point");
    for (const [key, value] of [["cx", spot.x], ["cy", spot.y], ["class", look(spot.line.place).class], ["visibility", "visible"]]) ring.setAttribute(key, value);
    for (const group of svg.querySelectorAll(".line")) group.classList.toggle("behind", group.dataset.method !== name);
    if (aloud) $("chart-said").textContent = `${title}, ${point.at}: ${point.text}`;
  }
  function point(event) {
    const box = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [null, 40 ** 2]; // pixels
    for (const spot of spots) {
      const far = (spot.x - px) ** 2 + (spot.y - py) ** 2;
      if (far < least) [best, least] = [spot, far];
    }
    if (best) show(best, false);
    else clear();
  }
  function key(event) {
    const drawn = shown().filter((line) => line.points.length);
    if (event.key === "Escape") return clear();
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key) || !drawn.length) return undefined;
    event.preventDefault();
    let [line, n] = current ? [drawn.indexOf(current.line), current.n] : [0, 0];
    if (current && event.key === "ArrowUp") line = (line + drawn.length - 1) % drawn.length;
    if (current && event.key === "ArrowDown") line = (line + 1) % drawn.length;
    const last = drawn[line].points.length - 1;
    if (current && event.key === "ArrowLeft") n -= 1;
    if (current && event.key === "ArrowRight") n += 1;
    if (event.key === "Home") n = 0;
    if (event.key === "End") n = last;
    n = Math.min(last, Math.max(0, n));
    return show(spots.find((spot) => spot.line === drawn[line] && spot.n === n), true);
  }

  // ---- choices -------------------------------------------------------------------------------
  function refresh() {
    const table = number(choice.table);
    const { bits, metric } = report.tables[table];
    const metrics = unique(report.entries.filter((e) => e[TABLE] === table).map((e) => e[METRIC])).sort((a, b) => a - b);
    const lengths = bits.filter(Boolean);
    const before = [choice.metric.value, choice.bits.value];
    fill(choice.metric, metrics.map((m) => [String(m), report.metrics[m]]), true);
    fill(choice.bits, (lengths.length ? lengths : [0]).map((b) => [String(b), b ? `${b} bits` : "no codes"]), true);
    if (choice.metric.value !== before[0]) choice.metric.value = String(metric);
    if (choice.bits.value !== before[1]) choice.bits.value = String(lengths.at(-1) ?? 0);
    const names = Object.keys(CHARTS).filter((name) => linesOf(table, name).length);
    fill(choice.chart, names.map((name) => [name, CHARTS[name].title]), true);
    choice.metric.parentElement.hidden = choice.chart.value !== "bits";
    choice.bits.parentElement.hidden = choice.chart.value === "bits";
    lines = linesOf(table, choice.chart.value);
    legend();
    draw();
  }

  const withLines = report.tables.map((t, n) => [String(n), `${t.dataset} / ${t.protocol} / ${t.backbone}`])
    .filter(([n]) => report.entries.some((e) => e[TABLE] === Number(n)));
  if (!withLines.length) return;
  $("charts").hidden = $("charts-link").hidden = false;
  fill(choice.table, withLines);
  choice.table.parentElement.hidden = withLines.length === 1;
  for (const name in choice) choice[name].addEventListener("change", refresh);
  $("chart-choice").addEventListener("submit", (event) => event.preventDefault());
  $("chart-all").addEventListener("click", () => every(true));
  $("chart-none").addEventListener("click", () => every(false));
  $("chart-data").addEventListener("toggle", () => tabulate(choice.chart.value, CHARTS[choice.chart.value]));
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", clear);
  svg.addEventListener("keydown", key);
  svg.addEventListener("blur", clear);
  refresh();
  let drawnAt = $("chart-box").clientWidth;
  new ResizeObserver(() => {
    if ($("chart-box").clientWidth !== drawnAt) {
      drawnAt = $("chart-box").clientWidth;
      draw();
    }
  }).observe($("chart-box"));
})();
