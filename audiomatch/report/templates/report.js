"use strict";
// The charts, the list of clips and the picker of a pair; all texts are set as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);

  function make(tag, text = "", properties = {}) {
    const element = Object.assign(document.createElement(tag), properties);
    element.textContent = text;
    return element;
  }

  function fill(select, pairs) {
    select.replaceChildren(...pairs.map(([value, name]) => make("option", name, { value })));
  }

  function onChange(form, act) {
    form.addEventListener("input", act);
    // Not every browser tells of a choice as input. Text is left out: its change comes with the
    // click on what it would replace.
    form.addEventListener("change", (event) => { if (event.target.matches("select")) act(); });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  const shown = (p) => (p === null ? "–" : p.toFixed(3));
  const label = (match) => (match ? "match" : "mismatch");
  const named = data.clips.matchers.map((name) => [name, data.labels[name]]);

  // --- charts: drawn when they come near the window, or all of them to be printed.
  const options = {
    actions: false, renderer: "svg", ast: true, mode: "vega-lite", config: data.config,
    tooltip: { theme: "custom" },
  };
  const drawn = new Map();

  function draw(element) {
    const name = element.dataset.chart;
    if (!drawn.has(name)) drawn.set(name, vegaEmbed(element, data.charts[name], options));
    return drawn.get(name);
  }

  const charts = [...document.querySelectorAll("[data-chart]")];
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  charts.forEach((element) => near.observe(element));
  window.addEventListener("beforeprint", () => charts.forEach(draw));

  // --- the list of clips
  const PAGE = 25;
  const table = find("clip-table");
  const player = new Audio();
  let playing = null;
  let order = { key: "error", down: true };
  let length = PAGE;

  function stop() {
    player.pause();
    if (playing) {
      playing.textContent = "▶";
      playing.setAttribute("aria-pressed", "false");
    }
    playing = null;
  }

  function play(button, clip) {
    const again = playing === button;
    stop();
    find("sound-problem").textContent = "";
    if (again) return;
    playing = button;
    button.textContent = "■";
    button.setAttribute("aria-pressed", "true");
    player.src = clip.sound ? `data:audio/mpeg;base64,${clip.sound}` : clip.link;
    player.play().catch((error) => {
      if (error.name === "AbortError") return; // another clip was started
      stop();
      find("sound-problem").textContent =
        `${clip.id} cannot be played from here; audiomatch view plays every clip of a run folder.`;
    });
  }
  player.addEventListener("ended", stop);

  function soundOf(clip) {
    const cell = make("td", clip.sound || clip.link ? "" : "–", { className: "left" });
    if (clip.sound || clip.link) {
      const button = make("button", "▶", { type: "button", className: "play" });
      button.setAttribute("aria-label", `Play ${clip.id}`);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => play(button, clip));
      cell.append(button);
    }
    return cell;
  }

  function checkOf(clip) {
    const cell = make("td", "", { className: "left" });
    if (!clip.link || clip.link.endsWith("#made")) return cell; // it has no label of the data
    const button = make("button", "", { type: "button", className: "mark" });
    const show = () => {
      button.textContent = clip.marked ? "Marked as wrong" : "Label is wrong";
      button.setAttribute("aria-pressed", String(Boolean(clip.marked)));
      button.setAttribute("aria-label", `Label of ${clip.id} is wrong`);
    };
    button.addEventListener("click", async () => {
      const address = clip.link.replace("clips/", "labels/");
      const method = clip.marked ? "DELETE" : "PUT";
      const answer = await fetch(address, { method }).catch(() => null);
      find("sound-problem").textContent = answer && answer.ok ? "" : "The mark could not be kept.";
      if (answer && answer.ok) clip.marked = !clip.marked;
      show();
    });
    show();
    cell.append(button);
    return cell;
  }

  function textOf(clip) {
    const cell = make("td", clip.text, { className: "left text" });
    if (!clip.words) return cell;
    const details = make("details");
    const words = make("ol", "", { className: "words" });
    for (const { word, p, at, heard, back, ink } of clip.words.words) {
      const item = make("li", word);
      Object.assign(item.style, { background: back, color: ink });
      item.append(make("small", `${p.toFixed(2)} · ${at}`));
      if (heard !== null) item.append(make("small", `heard: ${heard || "nothing"}`));
      words.append(item);
    }
    const said = `Heard in all: ${clip.words.heard || "nothing"}`;
    details.append(make("summary", "Words"), words, make("p", said, { className: "note" }));
    cell.append(details);
    return cell;
  }

  function rowOf(clip) {
    const row = make("tr");
    row.append(
      soundOf(clip),
      make("th", clip.id, { scope: "row" }),
      textOf(clip),
      make("td", clip.task, { className: "left" }),
      make("td", label(clip.match), { className: "left" }),
      make("td", shown(clip.p[matcher()])),
      make("td", shown(error(clip))),
    );
    if (data.marking) row.append(checkOf(clip));
    return row;
  }

  const matcher = () => data.clips.matchers.indexOf(find("of-matcher").value);
  const error = (clip) => {
    const p = clip.p[matcher()];
    return p === null ? null : Math.abs(clip.match - p);
  };

  function valueOf(clip) {
    if (order.key === "p") return clip.p[matcher()];
    return order.key === "error" ? error(clip) : clip[order.key];
  }

  function compare(one, other) {
    const [a, b] = [valueOf(one), valueOf(other)];
    if (a === null || b === null) return (a === null) - (b === null); // unknown ones last
    const sign = order.down ? -1 : 1;
    return sign * (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  }

  function wanted() {
    const [task, match, text] = ["of-task", "of-label", "of-text"].map((id) => find(id).value);
    const [low, high] = ["p-from", "p-to"].map((id) => find(id).valueAsNumber);
    const words = text.trim().toLowerCase();
    return data.clips.rows.filter((clip) => {
      const p = clip.p[matcher()];
      return (!task || clip.task === task)
        && (!match || clip.match === Number(match))
        && (Number.isNaN(low) || p >= low) && (Number.isNaN(high) || (p !== null && p <= high))
        && (!words || `${clip.id} ${clip.text}`.toLowerCase().includes(words));
    });
  }

  function list() {
    stop();
    const found = wanted().sort(compare);
    table.tBodies[0].replaceChildren(...found.slice(0, length).map(rowOf));
    find("more").hidden = found.length <= length;
    find("counted").textContent = `${Math.min(length, found.length)} of ${found.length} clips shown`;
    for (const head of table.tHead.querySelectorAll("[data-key]")) {
      const own = head.dataset.key === order.key;
      head.setAttribute("aria-sort", own ? (order.down ? "descending" : "ascending") : "none");
    }
  }

  if (table) {
    fill(find("of-matcher"), named);
    if (data.worth.length) find("of-matcher").value = data.worth[0]; // its worst can be heard
    const tasks = [...new Set(data.clips.rows.map((clip) => clip.task))].filter(Boolean).sort();
    fill(find("of-task"), [["", "any"], ...tasks.map((task) => [task, task])]);
    find("of-task").parentElement.hidden = tasks.length < 2;
    onChange(find("filters"), () => { length = PAGE; list(); });
    find("more").addEventListener("click", () => { length += 4 * PAGE; list(); });
    for (const head of table.tHead.querySelectorAll("[data-key]")) {
      head.firstElementChild.addEventListener("click", () => {
        const key = head.dataset.key;
        const down = key === order.key ? !order.down : key === "error" || key === "p";
        order = { key, down };
        list();
      });
    }
    list();
  }

  // --- any two matchers
  const signed = (value) => {
    const size = Math.abs(value).toFixed(3);
    return (value < 0 && Number(size) ? "−" : "+") + size; // no minus before a zero
  };

  function pairWords(a, b) {
    const [one, other] = [data.labels[a], data.labels[b]];
    if (a === b) return "These are one matcher.";
    let pair = data.pairs.find((known) => known.a === a && known.b === b);
    if (!pair) {
      const back = data.pairs.find((known) => known.a === b && known.b === a);
      if (!back || back.difference === null) return "No clip was predicted by both.";
      const turned = { better: "worse", worse: "better" };
      pair = {
        ...back, difference: -back.difference,
        low: back.high === null ? null : -back.high, high: back.low === null ? null : -back.low,
        verdict: turned[back.verdict] ?? back.verdict,
      };
    }
    if (pair.difference === null) return "No clip was predicted by both.";
    const gap = `${one} less ${other}: ${signed(pair.difference)} nats`;
    const ends = pair.low === null ? "" : ` (${signed(pair.low)} to ${signed(pair.high)})`;
    const says = {
      better: `${one} is better`, worse: `${other} is better`,
      equivalent: "they are equivalent", undecided: "not told apart",
    }[pair.verdict] ?? "not judged";
    return `${gap}${ends}: ${says}, over ${pair.n} clips.`;
  }

  async function compareTwo() {
    const [a, b] = [find("pair-a").value, find("pair-b").value];
    find("pair-words").textContent = pairWords(a, b);
    const { id, match, p } = data.scatter;
    const values = id.map((name, i) => ({ id: name, a: p[a][i], b: p[b][i], label: label(match[i]) }));
    const { view } = await draw(document.querySelector("[data-chart=pair]"));
    view.data("pair", values.filter((one) => one.a !== null && one.b !== null)).run();
  }

  if (find("pair-form")) {
    fill(find("pair-a"), named);
    fill(find("pair-b"), named);
    const ranked = data.clips.matchers;
    const [first, second] = new Set([...data.worth, ...ranked]);
    find("pair-a").value = first;
    find("pair-b").value = second ?? first;
    onChange(find("pair-form"), compareTwo);
    compareTwo();
  }
})();
