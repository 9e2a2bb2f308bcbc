"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
function element(tag, text, attributes) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  return made;
}
function fixed(value) {
  if (value === null || value === undefined) return "";
  return Math.abs(value) < 100 ? value.toFixed(3) : value.toLocaleString("en", { maximumFractionDigits: 1 });
}
const unique = (values) => [...new Set(values)];
function fill(select, pairs, keep) {
  const chosen = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => element("option", text, { value })));
  select.value = keep && pairs.some(([value]) => value === chosen) ? chosen : pairs[0][0];
}
function grid(caption, heads, rows) {
  const wide = element("div", null, { class: "wide", tabindex: "0", role: "region", "aria-label": caption });
  const made = element("table");
  const top = element("tr");
  top.append(...heads.map((head) => element("th", head, { scope: "col" })));
  made.append(element("caption", caption), element("thead"), element("tbody"));
  made.tHead.append(top);
  for (const [first, ...others] of rows) {
    const row = element("tr");
    row.append(element("th", first, { scope: "row" }), ...others.map((cell) => element("td", cell)));
    made.tBodies[0].append(row);
  }
  wide.append(made);
  return wide;
}

(function () {
  const data = report;
  const CHUNK = 100; // rows drawn at a time
  const [TABLE, METHOD, BITS, METRIC, MEAN, STD, N, LOW, HIGH, RANK, OVER, MARK] = Array(12).keys();
  const $ = (id) => document.getElementById(id);
  const MAIN = "main";

  const name = (entry) => data.methods[entry[METHOD]][0];
  const label = (entry) => data.methods[entry[METHOD]][2]; // as tables show it
  const kind = (entry) => data.methods[entry[METHOD]][1];
  const table = (entry) => data.tables[entry[TABLE]];
  const bits = (entry) => (entry[BITS] ? String(entry[BITS]) : "none");
  const title = (t) => `${t.dataset} / ${t.protocol} / ${t.backbone}`;

  // ---- filters -------------------------------------------------------------------------------
  const filters = { dataset: $("f-dataset"), protocol: $("f-protocol"), backbone: $("f-backbone"),
                    kind: $("f-kind"), bits: $("f-bits"), metric: $("f-metric"), method: $("f-method") };
  const lengths = unique(data.entries.map((e) => e[BITS])).sort((a, b) => a - b);
  fill(filters.dataset, [["", "all"], ...unique(data.tables.map((t) => t.dataset)).map((d) => [d, d])]);
  fill(filters.kind, [["", "all"], ...unique(data.methods.map((m) => m[1])).map((k) => [k, k])]);
  fill(filters.bits, [["", "all"], ...lengths.map((b) => [String(b), b ? `${b} bits` : "no codes"])]);
  fill(filters.metric, [[MAIN, "each protocol's own"], ["", "all"],
                        ...data.metrics.map((m, n) => [String(n), m])]);
  $("methods").replaceChildren(...unique(data.methods.map((m) => m[2])).map((m) => element("option", null, { value: m })));
  function fillTables() { // of the data set that is chosen
    const dataset = filters.dataset.value;
    const fitting = data.tables.filter((t) => !dataset || t.dataset === dataset);
    for (const part of ["protocol", "backbone"]) {
      fill(filters[part], [["", "all"], ...unique(fitting.map((t) => t[part])).map((s) => [s, s])], true);
    }
  }

  // ---- the leaderboard -----------------------------------------------------------------------
  const ORDER = { dataset: (e) => title(table(e)), method: (e) => label(e).toLowerCase(), bits: (e) => e[BITS],
                  metric: (e) => e[METRIC], mean: (e) => e[MEAN], std: (e) => e[STD], n: (e) => e[N],
                  rank: (e) => e[RANK] };
  // best first on the first click: a mean falls, unless all that is shown is better when small
  const falls = (column) => column === "mean" && !shown.every((e) => data.lower.includes(e[METRIC]));
  let sorted = null; // {column, falling}
  let shown = data.entries;
  let drawn = 0;

  function select() {
    const { dataset, protocol, backbone, bits, metric, method } = filters;
    const words = method.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = data.entries.filter((e) => {
      const t = table(e);
      return (!dataset.value || t.dataset === dataset.value)
        && (!protocol.value || t.protocol === protocol.value)
        && (!backbone.value || t.backbone === backbone.value)
        && (!filters.kind.value || kind(e) === filters.kind.value)
        && (!bits.value || e[BITS] === Number(bits.value))
        && (!metric.value || e[METRIC] === (metric.value === MAIN ? t.metric : Number(metric.value)))
        && words.every((word) => `${label(e)} ${name(e)}`.toLowerCase().includes(word));
    });
    if (sorted) {
      const of = ORDER[sorted.column];
      const sign = sorted.falling ? -1 : 1;
      shown.sort((a, b) => {
        const [x, y] = [of(a), of(b)];
        if (x === y) return 0;
        if (x === null) return 1; // what is missing comes last
        if (y === null) return -1;
        return sign * (x < y ? -1 : 1);
      });
    }
    drawn = 0;
    $("rows").replaceChildren();
    draw(CHUNK);
  }

  function draw(more) {
    const rows = document.createDocumentFragment();
    const end = Math.min(drawn + more, shown.length);
    for (const entry of shown.slice(drawn, end)) rows.append(line(entry));
    drawn = end;
    $("rows").append(rows);
    const all = shown.length.toLocaleString("en");
    $("status").textContent = shown.length === 0 ? "No entry fits; loosen a filter."
      : drawn < shown.length ? `${drawn.toLocaleString("en")} of ${all} entries shown`
      : `${all} ${shown.length === 1 ? "entry" : "entries"}`;
    $("more").hidden = $("everything").hidden = drawn >= shown.length;
    for (const id of ["csv", "latex"]) $(id).disabled = shown.length === 0;
  }

  function line(entry) {
    const row = element("tr", null, kind(entry) === "yardstick" ? { class: "soft" } : {});
    const head = element("th", null, { scope: "row" });
    const open = element("button", label(entry), { type: "button", class: "link", "aria-haspopup": "dialog" });
    head.append(open);
    if (kind(entry) !== "method") head.append(" ", element("small", kind(entry)));
    const t = table(entry);
    const set = element("td", t.dataset);
    set.append(" ", element("small", `${t.protocol} / ${t.backbone}`));
    const interval = element("td", entry[LOW] === null ? "" : `${fixed(entry[LOW])} to ${fixed(entry[HIGH])}`);
    if (entry[OVER] !== null) interval.append(" ", element("small", `over ${entry[OVER]}`));
    row.append(head, element("td", entry[RANK] === null ? "" : entry[RANK]), element("td", fixed(entry[MEAN])),
      element("td", fixed(entry[STD])), interval, element("td", entry[N]), set,
      element("td", bits(entry)), element("td", data.metrics[entry[METRIC]]));
    row.children[2].className = ["", "best", "second"][entry[MARK]];
    row.addEventListener("click", () => { record(entry); keep(true); });
    return row;
  }

  for (const button of document.querySelectorAll("#board thead button")) {
    button.addEventListener("click", () => {
      const column = button.dataset.column;
      const again = sorted && sorted.column === column;
      sorted = { column, falling: again ? !sorted.falling : falls(column) };
      for (const head of document.querySelectorAll("#board thead th[aria-sort]")) head.setAttribute("aria-sort", "none");
      button.closest("th").setAttribute("aria-sort", sorted.falling ? "descending" : "ascending");
      select();
    });
  }
  for (const key in filters) {
    if (key !== "method") filters[key].addEventListener("change", () => { fillTables(); select(); keep(true); });
  }
  filters.method.addEventListener("input", () => { select(); keep(false); });
  $("clear").addEventListener("click", () => { $("filters").reset(); fillTables(); select(); keep(true); });

  // Filters live in the address, as #dataset=digits&bits=16, and so does the record that is open, as
  // &record=digits/300-1497/pixels/lsh/16: they can be sent, and the browser goes back.
  const place = (e) => [table(e).dataset, table(e).protocol, table(e).backbone, name(e), e[BITS]].join("/");
  let opened = null; // an entry of the record that is open
  function keep(step) {
    const chosen = new URLSearchParams();
    for (const key in filters) if (key === "metric" ? filters[key].value !== MAIN : filters[key].value) chosen.set(key, named(key));
    if (opened) chosen.set("record", place(opened));
    const hash = chosen.size ? `#${chosen}` : "#leaderboard";
    if (hash !== location.hash) history[step ? "pushState" : "replaceState"](null, "", hash);
  }
  function named(key) { // a metric by its name, since numbers change from report to report
    return key === "metric" ? data.metrics[filters.metric.value] ?? "all" : filters[key].value;
  }
  function restore() {
    const hash = location.hash.slice(1);
    if (hash && hash !== "leaderboard" && !hash.includes("=")) return; // a part of the page
    const chosen = new URLSearchParams(hash.includes("=") ? hash : "");
    $("filters").reset();
    for (const key in filters) {
      const text = chosen.get(key) ?? "";
      const value = key !== "metric" ? text : text === "all" ? "" : data.metrics.includes(text) ? String(data.metrics.indexOf(text)) : MAIN;
      const field = filters[key];
      if (key === "method" || [...field.options].some((o) => o.value === value)) field.value = value;
      if (key === "dataset") fillTables();
    }
    select();
    const wanted = chosen.get("record");
    const found = wanted && data.entries.find((e) => place(e) === wanted);
    opened = null;
    $("record").close();
    if (found) record(found);
  }
  addEventListener("popstate", restore);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", () => draw(CHUNK));
  $("everything").addEventListener("click", () => draw(Infinity));

  // ---- a record ------------------------------------------------------------------------------
  function flat(value, path, into) {
    if (value !== null && typeof value === "object" && Object.keys(value).length) {
      for (const key in value) flat(value[key], path ? `${path}.${key}` : key, into);
    } else into.push([path, value === null ? "none" : typeof value === "object" ? "" : String(value)]);
    return into;
  }
  function facts(heading, pairs, open) {
    const box = element("details", null, open ? { open: "" } : {});
    const list = element("dl");
    for (const [key, value] of pairs) list.append(element("dt", key), element("dd", value));
    box.append(element("summary", heading), list);
    return box;
  }
  function record(entry) {
    opened = entry;
    const runs = data.runs[`${entry[TABLE]} ${entry[METHOD]} ${entry[BITS]}`] || [];
    const body = $("record-body");
    $("record-title").textContent = `${label(entry)}, ${entry[BITS] ? `${entry[BITS]} bits` : "no codes"}`;
    body.replaceChildren(element("p", `${title(table(entry))}. ${table(entry).about}`, { class: "soft" }));
    if (runs.length) {
      const metrics = Object.keys(runs[0].values).map(Number).sort((a, b) => a - b);
      const stages = unique(runs.flatMap((run) => Object.keys(run.timings)));
      const heads = runs.map((run) => `seed ${run.seed}`);
      const lines = (pairs) => pairs.map(([label, of]) => [label, ...runs.map(of)]);
      body.append(
        grid("Metrics", ["", ...heads], lines(metrics.map((m) => [data.metrics[m], (run) => fixed(run.values[m])]))),
        grid("Seconds, memory and origin", ["", ...heads], lines([
          ...stages.map((stage) => [`${stage} (s)`, (run) => run.timings[stage] ?? ""]),
          ["peak memory (MiB)", (run) => run.memory], ["epochs", (run) => run.epochs],
          ["finished (UTC)", (run) => run.created.replace("T", " ")], ["digest", (run) => run.digest]])));
      for (const [heading, field, open] of [["Settings", "settings", true], ["Versions", "versions", true],
                                           ["Protocol", "protocol", false]]) {
        for (const place of unique(runs.map((run) => run[field]))) {
          body.append(facts(heading, flat(data.texts[place], "", []), open));
        }
      }
      const origin = ["device", "commit", "command"].flatMap((field) =>
        unique(runs.map((run) => data.texts[run[field]])).map((text) => [field, text || "not known"]));
      body.append(facts("Origin", origin, true));
    }
    $("record").showModal();
    body.scrollTop = 0;
  }

  // ---- downloads -----------------------------------------------------------------------------
  function download(file, type, text) {
    const link = element("a", null, { download: file });
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  function csv() {
    const quoted = (value) => {
      let text = value === null ? "" : String(value);
      if (typeof value === "string" && /^'*[=+\-@\t\r]/.test(text)) text = `'${text}`; // no formula
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const heads = ["dataset", "protocol", "backbone", "method", "bits", "metric", "mean", "std", "n", "ci_low", "ci_high", "interval", "rank", "kind"];
    const rows = shown.map((e) => {
      const t = table(e);
      return [t.dataset, t.protocol, t.backbone, name(e), e[BITS], data.metrics[e[METRIC]], ...e.slice(MEAN, RANK), e[OVER], e[RANK], kind(e)];
    });
    return [heads, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  }
  const TEX = { "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", _: "\\_", "{": "\\{", "}": "\\}",
                "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
                "|": "\\textbar{}", '"': "\\textquotedbl{}" };
  const tex = (text) => String(text).replace(/[\p{Cc}\p{Cf}]/gu, " ").replace(/[\\&%$#_{}~^<>|"]/g, (letter) => TEX[letter]);
  function latex() {
    const groups = new Map(); // one table per data set, protocol, backbone and metric
    for (const entry of shown) {
      const key = `${entry[TABLE]} ${entry[METRIC]}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(entry);
    }
    const blocks = ["% Needs \\usepackage{booktabs}."];
    for (const entries of groups.values()) {
      const columns = unique(entries.map((e) => e[BITS])).sort((a, b) => a - b);
      const cell = (method, length) => {
        const entry = entries.find((e) => e[METHOD] === method && e[BITS] === length);
        if (!entry) return "-";
        const text = fixed(entry[MEAN]) + (entry[STD] === null ? "" : ` $\\pm$ ${fixed(entry[STD])}`);
        return [text, `\\textbf{${text}}`, `\\underline{${text}}`][entry[MARK]];
      };
      const seeds = unique(entries.map((e) => e[N])).sort((a, b) => a - b);
      const count = seeds.length > 1 ? `${seeds[0]} to ${seeds[seeds.length - 1]}` : seeds[0];
      const caption = `${title(table(entries[0]))}. ${data.metrics[entries[0][METRIC]]}, mean and standard deviation over n = ${count} seeds. In bold the best of a column and underlined the second, as the report marks them.`;
      const rows = unique(entries.map((e) => e[METHOD])).map((method) =>
        `    ${[tex(data.methods[method][2]), ...columns.map((length) => cell(method, length))].join(" & ")} \\\\`);
      blocks.push("", "\\begin{table}[t]", "  \\centering", `  \\caption{${tex(caption)}}`,
        `  \\begin{tabular}{l${"r".repeat(columns.length)}}`, "    \\toprule",
        `    ${["method", ...columns.map((b) => (b ? `${b} bits` : "no codes"))].join(" & ")} \\\\`, "    \\midrule",
        ...rows, "    \\bottomrule", "  \\end{tabular}", "\\end{table}");
    }
    return blocks.join("\n") + "\n";
  }
  $("csv").addEventListener("click", () => download("leaderboard.csv", "text/csv", csv()));
  $("latex").addEventListener("click", () => download("leaderboard.tex", "text/x-tex", latex()));

  // ---- figures that zoom ---------------------------------------------------------------------
  const stage = $("zoom-stage");
  let home = null; // where the figure stands when it is not enlarged
  let scale = 1;
  function zoom(factor) {
    scale = Math.min(8, Math.max(1, factor));
    stage.firstElementChild.style.width = `${100 * scale}%`;
    $("zoom-scale").textContent = `${Math.round(100 * scale)} %`;
  }
  for (const figure of document.querySelectorAll("figure")) {
    const button = figure.querySelector("button");
    const enlarge = () => {
      home = figure.querySelector(".drawing");
      $("zoom-title").textContent = figure.querySelector("figcaption span").textContent;
      stage.replaceChildren(...home.children); // moved, since ids in it may not occur twice
      $("zoom").showModal();
      zoom(1);
    };
    button.hidden = false;
    button.addEventListener("click", enlarge);
    figure.querySelector(".drawing").addEventListener("click", enlarge);
  }
  $("zoom").addEventListener("close", () => {
    stage.firstElementChild.style.width = "";
    home.append(...stage.children);
  });
  $("zoom-in").addEventListener("click", () => zoom(scale * 1.5));
  $("zoom-out").addEventListener("click", () => zoom(scale / 1.5));
  $("zoom").addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") zoom(scale * 1.5);
    else if (event.key === "-") zoom(scale / 1.5);
    else if (event.key === "0") zoom(1);
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector("button.close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }

  $("record").addEventListener("close", () => {
    if (!opened || $("record").open) return; // closed by going back, or open again by then
    opened = null;
    keep(true);
  });

  fillTables();
  restore();
  if (!drawn) select();
  $("explorer").hidden = false;
  document.documentElement.dataset.ready = String(Math.round(performance.now())); // milliseconds
})();
