// What the page can do with a script, and could not without one: it follows the cluster without loading anew, says when it
// has lost contact, draws charts, and filters the list of clusters. All that it shows in words comes from the server.
"use strict";
(() => {
  const PAGE_EVERY = 5_000; // the usual time between two cycles
  const CHARTS_EVERY = 15_000; // a chart over an hour moves by less than a pixel in it
  const SPAN = 3600; // seconds that a chart shows at most: what the window keeps
  const SHORTEST = 300; // and at least, while there is less
  const STEP = 15; // 240 points, about one for two pixels
  const AHEAD = 0.25; // part of what is shown by which a forecast looks ahead

  // --- The page ---------------------------------------------------------------------------------------------------

  const moving = () => document.body.dataset.moving === "true";
  let contact = Date.now();

  async function follow() {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      morph(new DOMParser().parseFromString(await answer.text(), "text/html"));
      contact = Date.now();
      say(null);
    } catch (error) {
      const seconds = Math.round((Date.now() - contact) / 1000);
      say(`No contact with etcd-doctor for ${seconds} s: what stands here is old. (${error.message})`);
    }
  }

  // What a reader has opened or closed. The server opens what to look at first, and never closes what is open.
  const touched = new WeakSet();
  document.addEventListener("click", ({ target }) => {
    const summary = target.closest("summary");
    if (summary) touched.add(summary.parentElement);
  });
  const isReaders = (node, change) => node.tagName === "DETAILS" && (touched.has(node) || change === "remove");

  // The charts and what a reader has opened stay as they are; everything else becomes what the server says now.
  function morph(next) {
    document.title = next.title;
    document.body.dataset.now = next.body.dataset.now;
    const before = verdict();
    Idiomorph.morph(document.querySelector("main"), next.querySelector("main"), {
      morphStyle: "outerHTML",
      ignoreActiveValue: true,
      callbacks: {
        beforeNodeMorphed: (old) => !(old.dataset && old.dataset.chart) && old.id !== "filter",
        beforeAttributeUpdated: (name, node, change) => !(name === "open" && isReaders(node, change)),
      },
    });
    document.querySelector("footer").replaceWith(document.importNode(next.querySelector("footer"), true));
    if (verdict() !== before) document.getElementById("news").textContent = verdict();
    filter();
    adopt();
  }

  const verdict = () => [...document.querySelectorAll(".verdict")].map((of) => of.textContent.trim()).join("; ");

  function say(text) {
    const place = document.getElementById("contact");
    place.hidden = text === null;
    // Only what changed is said anew to who listens.
    if (text !== null && place.textContent !== text) place.textContent = text;
  }

  // --- The list of clusters ------------------------------------------------------------------------------------------

  function filter() {
    const box = document.getElementById("filter");
    if (!box) return;
    box.parentElement.hidden = false;
    const wanted = box.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(".overview [data-cluster]")) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  }

  // --- Charts --------------------------------------------------------------------------------------------------------

  const charts = new Map(); // element -> { plot, seen }
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const visible = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const chart = charts.get(target);
      if (!chart) continue;
      chart.seen = isIntersecting;
      if (isIntersecting && Date.now() - chart.drawn > CHARTS_EVERY) draw(target);
    }
  }, { rootMargin: "200px" });

  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = charts.get(target);
      if (chart && chart.plot) chart.plot.setSize({ width: inside(target), height: HEIGHT });
    }
  });

  const HEIGHT = 150;
  const COMMON = ["__name__", "cluster", "instance", "job"]; // labels that tell no line from another
  const inside = (element) => Math.max(200, Math.floor(element.clientWidth));

  function adopt() {
    for (const [element, chart] of charts) {
      if (element.isConnected) continue;
      if (chart.plot) chart.plot.destroy();
      charts.delete(element);
    }
    for (const element of document.querySelectorAll("[data-chart]")) {
      if (charts.has(element)) continue;
      charts.set(element, { plot: null, seen: false, drawn: 0 });
      visible.observe(element);
      sized.observe(element);
    }
  }

  async function ask(path, parameters) {
    const answer = await fetch(`${path}?${new URLSearchParams(parameters)}`, { cache: "no-store" });
    const body = await answer.json();
    if (body.status !== "success") throw new Error(body.error);
    return body.data.result;
  }

  async function draw(element) {
    const chart = charts.get(element);
    chart.drawn = Date.now();
    const what = JSON.parse(element.dataset.chart);
    const note = element.querySelector(".note");
    try {
      // The server's time and not the reader's, on whole steps so that points do not wander.
      const now = Math.floor(Number(document.body.dataset.now) / STEP) * STEP;
      const range = { start: now - SPAN, end: now, step: STEP };
      const asked = [
        ...what.lines.map((line) => ask("/api/v1/query_range", { query: line.expr, ...range })),
        what.marks ? ask("/api/v1/query_range", { query: what.marks, ...range }) : [],
        what.growth ? ask("/api/v1/query", { query: what.growth, time: now }) : [],
      ];
      const answers = await Promise.all(asked);
      const growth = answers.pop();
      const marks = rises(answers.pop());
      show(element, chart, what, answers, { from: now - SPAN, now, marks, growth });
    } catch (error) {
      note.textContent = `Could not be drawn: ${error.message}`;
      note.hidden = false;
    }
  }

  // The times at which a counter grew.
  function rises(series) {
    const times = new Set();
    for (const { values } of series) {
      for (let at = 1; at < values.length; at++) {
        if (Number(values[at][1]) > Number(values[at - 1][1])) times.add(values[at][0]);
      }
    }
    return [...times].sort();
  }

  function show(element, chart, what, answers, { from, now, marks, growth }) {
    const lines = answers.flatMap((series, at) =>
      series.map(({ metric, values }) => ({ label: label(what.lines[at], metric), reference: what.lines[at].reference, values })));
    lines.sort((a, b) => Number(a.reference) - Number(b.reference) || a.label.localeCompare(b.label));
    const note = element.querySelector(".note");
    note.textContent = "Nothing was recorded of this in the last hour.";
    note.hidden = lines.length > 0;
    const first = Math.min(now, ...lines.map(({ values }) => values[0][0]));
    from = Math.min(Math.max(from, first - STEP), now - SHORTEST);
    const until = what.growth ? now + (now - from) * AHEAD : now;
    const times = [];
    for (let at = from; at <= until; at += STEP) times.push(at);
    const data = [times, ...lines.map(({ values }) => spread(times, values))];
    const styled = lines.map((line, at) => style(line, at, what.unit));
    const forecast = ahead(lines, growth, times, now);
    if (forecast) {
      data.push(forecast);
      styled.push({ label: "at this pace", stroke: colour("--dim"), dash: [2, 4], width: 1.5, value: legend(what.unit) });
    }
    const shape = JSON.stringify([dark.matches, styled.map((line) => line.label)]);
    chart.marks = marks;
    chart.span = [from, until];
    if (chart.plot && chart.shape === shape) {
      chart.plot.setData(data);
    } else {
      if (chart.plot) chart.plot.destroy();
      chart.plot = lines.length ? plot(element, chart, what, styled, data) : null;
      chart.shape = shape;
    }
    // While nobody points at a moment, the legend tells the last one.
    const last = Math.round((now - from) / STEP);
    if (chart.plot && chart.plot.cursor.idx == null) chart.plot.setLegend({ idx: last }, false);
    describe(element, what, lines);
  }

  function plot(element, chart, what, styled, data) {
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    return new uPlot({
      width: inside(element), height: HEIGHT,
      cursor: { sync: { key: "time" }, points: { size: 6 } },
      scales: {
        x: { range: () => chart.span },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        { ...axis, size: 24, values: (_, ticks) => ticks.map((tick) => clock(tick, chart.span[1] - chart.span[0] < 1200)) },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => quantity(tick, what.unit)) },
      ],
      series: [{ label: "time", value: (_, at) => (at == null ? "–" : clock(at, true)) }, ...styled],
      hooks: { draw: [(drawn) => mark(drawn, chart.marks)] },
    }, data, element.querySelector(".plot"));
  }

  // Elections, as vertical lines.
  function mark(drawn, marks) {
    const { ctx, bbox } = drawn;
    ctx.save();
    ctx.strokeStyle = colour("--unknown");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4, 3]);
    for (const at of marks) {
      const x = Math.round(drawn.valToPos(at, "x", true)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  // From where the largest line is now, on at its growth in a second.
  function ahead(lines, growth, times, now) {
    const pace = growth.length ? Number(growth[0].value[1]) : 0;
    const last = lines.filter((line) => !line.reference).map((line) => Number(line.values.at(-1)[1]));
    if (!(pace > 0) || !last.length) return null;
    const size = Math.max(...last);
    return times.map((at) => (at < now ? null : size + pace * (at - now)));
  }

  function style(line, at, unit) {
    const stroke = line.reference ? colour("--fail") : colour(`--line-${(at % 6) + 1}`);
    return {
      label: line.label, stroke, width: 1.5, spanGaps: false, points: { show: false },
      dash: line.reference ? [6, 4] : undefined, value: legend(unit),
    };
  }

  const legend = (unit) => (_, value) => (value == null ? "–" : quantity(value, unit));

  function label(line, metric) {
    if (line.name) return line.name;
    const words = Object.entries(metric).filter(([name]) => !COMMON.includes(name)).map(([, value]) => value);
    return words.join(" ") || "value";
  }

  function spread(times, values) {
    const at = new Map(values.map(([time, value]) => [time, Number(value)]));
    return times.map((time) => { const value = at.get(time); return Number.isFinite(value) ? value : null; });
  }

  // For who does not see the chart: its last values in words.
  function describe(element, what, lines) {
    const now = lines.map(({ label, values }) => `${label} ${quantity(Number(values.at(-1)[1]), what.unit)}`);
    element.querySelector(".plot").setAttribute("aria-label", `${what.title}, last values: ${now.join(", ") || "none"}`);
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const clock = (at, seconds) => new Date(at * 1000).toISOString().slice(11, seconds ? 19 : 16);

  function quantity(value, unit) {
    const short = (number) => (number === 0 ? "0" : Math.abs(number) >= 100 ? number.toFixed(0) : String(Number(number.toPrecision(3))));
    switch (unit) {
      case "bytes": return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], short);
      case "ratio": return `${short(value * 100)}%`;
      case "seconds":
        if (value === 0) return "0";
        if (Math.abs(value) < 1) return Math.abs(value) < 1e-3 ? `${short(value * 1e6)} µs` : `${short(value * 1e3)} ms`;
        return `${short(value)} s`;
      default: return scaled(value, 1000, ["", "k", "M", "G"], short);
    }
  }

  function scaled(value, base, units, short) {
    let at = 0;
    while (Math.abs(value) >= base && at < units.length - 1) { value /= base; at++; }
    return units[at] ? `${short(value)} ${units[at]}` : short(value);
  }

  // --- Start ---------------------------------------------------------------------------------------------------------

  document.addEventListener("input", (event) => { if (event.target.id === "filter") filter(); });
  dark.addEventListener("change", () => { for (const [element, chart] of charts) if (chart.seen) draw(element); });
  filter();
  adopt();
  if (moving()) {
    setInterval(() => { if (!document.hidden) follow(); }, PAGE_EVERY);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) follow(); });
    setInterval(() => {
      for (const [element, chart] of charts) if (chart.seen && !document.hidden && Date.now() - chart.drawn >= CHARTS_EVERY) draw(element);
    }, 1_000);
  }
})();
