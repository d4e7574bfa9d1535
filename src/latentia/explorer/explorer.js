// The explorer's page: what is chosen, what was asked, what is shown. No library, no build step.
"use strict";
const $ = (id) => document.getElementById(id);
const make = (tag, given = {}, ...inside) => {
  const node = Object.assign(document.createElement(tag), given);
  node.append(...inside);
  return node;
};
const INKS = ["#2f6fd0", "#c2571a", "#2b8a5a", "#8450c4", "#b03060", "#7a6a10", "#1888a0", "#6a7280", "#c04fb0", "#5a8f1f"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const page = { runs: [], active: 0, beside: null, input: null, z: {}, own: {}, ends: [null, null], map: null, place: null };
const active = () => page.runs[page.active];
const say = (text) => { $("status").textContent = text; };

// ---- asking the server; when it is gone, the page says so and waits for it
class Refused extends Error {}
let waiting = null;
async function ask(path, body) {
  const how = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, how);
  } catch (problem) {
    gone("The server does not answer. Start `latentia explore` again; this page goes on by itself.");
    throw problem;
  }
  if (answer.status === 401) gone("The server wants its token: open the address that it printed.");
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ detail: `The server failed (${answer.status}).` }));
    throw new Refused(told.detail);
  }
  return answer;
}
const told = async (path, body) => (await ask(path, body)).json();
function gone(text) {
  $("down").textContent = text;
  $("down").hidden = false;
  waiting ??= setTimeout(async function again() {
    const answer = await fetch("api/runs").catch(() => null);
    if (!answer?.ok) { waiting = setTimeout(again, 1000); return; } // one question at a time
    waiting = null;
    await refresh();
    if (waiting !== null) return; // it is gone again
    $("down").hidden = true;
    say("The server is back.");
  }, 1000);
}
// Runs a task; a refusal is said on the page, a lost server is said by gone().
const attempt = (task) => async (...given) => {
  try {
    return await task(...given);
  } catch (problem) {
    if (problem instanceof Refused) say(problem.message);
    else if (!(problem instanceof TypeError) || $("down").hidden) throw problem;
  }
};
// One request at a time; of those that come meanwhile only the latest is sent.
function latest(task) {
  let busy = false, next = null;
  return async function run(...given) {
    if (busy) { next = given; return; }
    busy = true;
    await attempt(task)(...given).finally(() => { busy = false; });
    if (next) { const again = next; next = null; run(...again); }
  };
}

// ---- pictures: what was asked for one is what its command and its file are asked for
function actions(figure, kinds, name) {
  const bar = figure.querySelector(".actions");
  if (bar.children.length) return;
  bar.append(make("button", { type: "button", className: "copy", textContent: "Copy the command", onclick: attempt(async () => copy(figure)) }));
  for (const kind of kinds)
    bar.append(make("button", { type: "button", className: `save${kind}`, textContent: `Save ${kind.slice(1).toUpperCase()}`, ariaLabel: `Save the ${name} as ${kind.slice(1)}`, onclick: attempt(async () => save(figure, kind, name)) }));
  if (figure.dataset.latents !== undefined)
    bar.append(make("button", { type: "button", className: "save-latents", textContent: "Save latents", onclick: () => saveLatents(figure) }));
}
function shown(figure, path, body, answer) {
  figure.asked = { path, body };
  figure.dataset.command = answer["command.png"];
}
async function copy(figure) {
  const text = figure.dataset.command;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(make("textarea", { value: text, className: "hidden" }));
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`Copied: ${text.length > 180 ? `${text.slice(0, 180)}…` : text}`);
}
function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`Saved ${name}.`);
}
async function save(figure, kind, name) {
  const { path, body } = figure.asked;
  download(await (await ask(path, { ...body, file: kind })).blob(), `${name}${kind}`);
}
function saveLatents(figure) {
  const { body } = figure.asked;
  download(new Blob([JSON.stringify({ latents: body.latents })], { type: "application/json" }), "latents.json");
}
const picture = (src, alt) => make("img", { src, alt });

// ---- the large pictures, one a run
const drawers = {};
function figures() {
  const both = [page.active, ...(page.beside === null ? [] : [page.beside])];
  $("top").classList.toggle("double", both.length > 1);
  $("pictures").replaceChildren(...both.map((k) => {
    const run = page.runs[k], there = $(`picture-${k}`);
    if (there?.querySelector("b").textContent === run.name) return there; // what it shows stays
    const caption = make("figcaption", {}, make("b", { textContent: run.name }), make("span", {}));
    const figure = make("figure", { id: `picture-${k}` }, make("img", { alt: `what ${run.name} decodes`, hidden: true }), caption, make("div", { className: "actions" }));
    const [, h, w] = run.shape;
    figure.querySelector("img").style.aspectRatio = `${w} / ${h}`;
    if (run.latent === null) caption.lastChild.textContent = ` has no encoder: it only draws images.`;
    else { figure.dataset.latents = ""; actions(figure, [".png"], "picture"); }
    return figure;
  }));
}
function show(k = page.active) {
  drawers[k] ??= latest(async () => {
    const body = { run: k, latents: [page.z[k]] };
    const answer = await told("api/decode", body), figure = $(`picture-${k}`);
    if (!figure) return;
    const image = figure.querySelector("img");
    image.src = answer.images[0];
    image.hidden = false;
    shown(figure, "api/decode", body, answer);
    figure.querySelector("figcaption span").textContent = same(page.z[k], page.own[k]) ? ` decodes ${inputName()}` : k === page.active ? " decodes these latents" : "";
  });
  if (page.z[k]) drawers[k]();
}
const same = (a, b) => a && b && a.every((value, at) => value === b[at]);
const inputName = () => !page.input ? "the latent zero" : page.input.file ? page.input.name : page.called;

// ---- sliders
function sliders() {
  const run = active(), live = run.dims.filter((dim) => !dim.dead), dead = run.dims.filter((dim) => dim.dead);
  const rated = run.dims.some((dim) => dim.rate !== null), left = run.latent - run.dims.length;
  $("about-latents").textContent = (rated ? "By rate, largest first." : "In their order: no rate is known without the images.")
    + (run.ranged ? " Grey: where the training images lie." : " Grey: the prior, N(0, 1).") + (left ? ` The ${left} of least rate have no slider.` : "");
  $("sliders").replaceChildren(...live.map(slider));
  $("dead").hidden = !dead.length;
  $("dead").open = !live.length;
  $("dead").querySelector("summary").textContent = `${dead.length} ${dead.length > 1 ? "dimensions" : "dimension"} that carry nothing`;
  $("dead").querySelector("div").replaceChildren(...dead.map(slider));
}
function slider(dim) {
  const wide = dim.bars.length, value = make("output");
  const outline = dim.bars.map((bar, k) => `L${k} ${1 - bar}L${k + 1} ${1 - bar}`).join("");
  const track = make("div", { className: "track" });
  track.innerHTML = `<svg viewBox="0 0 ${wide} 1" preserveAspectRatio="none" aria-hidden="true"><path d="M0 1${outline}L${wide} 1Z"/><line y1="0" y2="1" x1="-9" x2="-9" hidden/></svg>`;
  const input = make("input", { type: "range", min: dim.low, max: dim.high, step: 0.01, ariaLabel: `latent ${dim.name}${dim.rate === null ? "" : `, ${dim.rate} nats`}` });
  input.dataset.dim = dim.dim;
  input.oninput = () => { page.z[page.active][dim.dim] = +input.value; value.textContent = signed(+input.value); show(); draw(); };
  track.append(input);
  const head = make("div", { className: "told" }, make("b", { textContent: `z ${dim.name}` }), make("span", { textContent: dim.rate === null ? "" : `${dim.rate.toFixed(2)} nats` }), value);
  const whole = make("div", { className: "slider" }, head, track);
  whole.put = () => {
    const at = page.z[page.active]?.[dim.dim] ?? 0, own = page.own[page.active]?.[dim.dim], line = track.querySelector("line");
    input.value = at;
    value.textContent = signed(at);
    const x = own === undefined ? -9 : Math.min(1, Math.max(0, (own - dim.low) / (dim.high - dim.low))) * wide;
    line.setAttribute("x1", x); line.setAttribute("x2", x);
    line.toggleAttribute("hidden", own === undefined);
  };
  whole.put();
  return whole;
}
const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(2)}`;
const put = () => { for (const each of document.querySelectorAll(".slider")) each.put(); };
function move(z) { page.z[page.active] = [...z]; put(); show(); draw(); }

// ---- beta, of a run that has learned a range of it
const beta = () => Math.min(active().betas.high, Math.max(active().betas.low, +(10 ** +$("beta").value).toPrecision(3)));
function dial() {
  const { betas } = active();
  $("beta-label").hidden = !betas;
  if (!betas) return;
  Object.assign($("beta"), { min: Math.log10(betas.low), max: Math.log10(betas.high), value: Math.log10(betas.now) });
  $("beta-now").textContent = `${betas.now}`;
}
const turn = latest(async (read) => { // the images are read anew when the slider is let go
  const run = active(), value = beta();
  run.betas.now = value;
  if (run.state === "ready") { run.state = "reading"; layout(); }
  await told("api/beta", { run: page.active, beta: value, read });
  await sample();
  if (page.input?.file || page.input?.index !== undefined) await choose(page.input); else show();
  if (read) refresh();
});

// ---- the input image
const choose = latest(async (input) => {
  const run = active(), image = input;
  const found = await told("api/encode", { run: page.active, image });
  page.input = input;
  page.called = found.name;
  page.own = { [page.active]: found.latents };
  page.z[page.active] = [...found.latents];
  $("original").src = found.image;
  $("original").alt = inputName();
  $("original").hidden = false;
  $("original-empty").hidden = true;
  if (input.index !== undefined) $("index").value = input.index;
  $("about-image").textContent = [input.file ? input.name : found.name, ...labels(input), `${found.nats} nats`].join(", ");
  $("input").hidden = false;
  put(); show(); draw();
  for (const id of ["as-a", "as-b", "to-image"]) $(id).disabled = false;
  await Promise.all([again(image), besides(image), around(image)]);
  say(`${run.name}: ${inputName()}.`);
});
const brief = (name, last = name.split("/").at(-1)) => last.length > 10 ? `…${last.slice(-9)}` : last;
const labels = (input) => {
  const map = page.map;
  const at = map?.column && input.index !== undefined ? map.rows.indexOf(input.index) : -1;
  return at < 0 ? [] : [`${map.column} ${labelled(at)}`];
};
async function again(image) {
  const body = { run: page.active, image }, answer = await told("api/reconstruct", body);
  $("pair").querySelector(".strip").replaceChildren(picture(answer.images[0], "the image"), picture(answer.images[1], "its reconstruction"));
  shown($("pair"), "api/reconstruct", body, answer);
}
async function around(image) {
  if (active().state !== "ready") return;
  const body = { run: page.active, image, n: 8 }, answer = await told("api/nearest", body);
  $("near").querySelector(".strip").replaceChildren(...answer.near.map((near, k) => make("button", { type: "button", title: `${near.name}, distance ${near.distance.toFixed(2)}`, ariaLabel: `take image ${near.name}, distance ${near.distance.toFixed(2)}`, onclick: () => choose({ index: near.index }) }, picture(answer.images[k + 1], ""), make("span", { textContent: brief(near.name) }))));
  shown($("near"), "api/nearest", body, answer);
}
async function besides(image) {
  const k = page.beside;
  if (k === null || page.runs[k].latent === null) return;
  const seen = image.file ? image : { ...image, of: page.active };
  page.own[k] = (await told("api/encode", { run: k, image: seen })).latents;
  page.z[k] = [...page.own[k]];
  show(k);
}
async function opened(file) {
  if (!file) return;
  if (file.size > 8 * 2 ** 20) { say(`${file.name} has more than 8 MiB; give a smaller image.`); return; }
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let k = 0; k < bytes.length; k += 0x8000) text += String.fromCharCode(...bytes.subarray(k, k + 0x8000));
  choose({ file: btoa(text), name: file.name });
}

// ---- the map
const chart = attempt(async () => {
  if (active().state !== "ready") return;
  const kind = $("plane").value, dims = [+$("dim-x").value, +$("dim-y").value], column = $("column").value || null;
  $("which").hidden = kind !== "dims";
  if (kind === "umap") say("UMAP takes its time…");
  let found;
  try {
    found = await told("api/map", { run: page.active, kind, ...(kind === "dims" ? { dims } : {}), column });
  } catch (problem) { // said beside the choice, which goes back to what is drawn
    if (!(problem instanceof Refused)) throw problem;
    $("refused").textContent = problem.message;
    $("plane").value = page.map?.kind ?? "pca";
    $("which").hidden = $("plane").value !== "dims";
    say("");
    return;
  }
  $("refused").textContent = "";
  page.map = { ...found, kind, dims, column, classes: active().columns[column] };
  page.place = null;
  $("axes").textContent = `Across: ${found.names[0]}. Up: ${found.names[1]}. ${found.rows.length.toLocaleString()} of ${active().count.toLocaleString()} images.`;
  legend(); draw();
  if (kind === "umap") say("");
});
const labelled = (at) => { const { values, classes } = page.map; return classes ? classes[values[at]] : `${+values[at].toPrecision(4)}`; };
function ink(at) {
  const { values, classes, column, span } = page.map;
  if (!column) return "";
  const own = INKS[values[at] % INKS.length];
  if (classes) return dark.matches ? `color-mix(in srgb, ${own} 62%, white)` : own;
  return `hsl(${215 - 190 * (span[1] > span[0] ? (values[at] - span[0]) / (span[1] - span[0]) : 0)} 70% 50%)`;
}
const glyph = (at) => page.map.classes?.[page.map.values[at]]?.length <= 2 ? page.map.classes[page.map.values[at]] : "";
function legend() {
  const { values, classes, column } = page.map;
  page.map.span = values.length ? values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]) : [0, 0];
  const row = (at) => make("li", {}, Object.assign(make("i", { textContent: glyph(at) || "●" }), { style: `color: ${ink(at)}` }), glyph(at) && column ? "" : `${column} ${labelled(at)}`);
  const first = column ? classes ? [...new Set(values)].sort((a, b) => a - b).slice(0, 24).map((v) => values.indexOf(v)) : page.map.span.map((v) => values.indexOf(v)) : [];
  $("legend").replaceChildren(...(column && glyph(first[0]) ? [make("li", { textContent: `Each image is marked with its ${column}:` })] : []), ...first.map(row));
}
function frame() {
  const box = $("canvas").getBoundingClientRect(), pad = 22, { places } = page.map;
  page.map.box ??= places.reduce(([a, b, c, d], [x, y]) => [Math.min(a, x), Math.max(b, x), Math.min(c, y), Math.max(d, y)], [Infinity, -Infinity, Infinity, -Infinity]);
  const [a, b, c, d] = page.map.box, sx = (box.width - 2 * pad) / (b - a || 1), sy = (box.height - 2 * pad) / (d - c || 1);
  return { width: box.width, height: box.height, to: ([x, y]) => [pad + (x - a) * sx, box.height - pad - (y - c) * sy], from: (x, y) => [a + (x - pad) / sx, c + (box.height - pad - y) / sy] };
}
dark.onchange = () => { if (page.map) { legend(); draw(); } };
let drawing = 0;
function draw() { drawing ||= requestAnimationFrame(() => { drawing = 0; if (page.map && $("canvas").offsetWidth) paint(); }); }
function paint() {
  const canvas = $("canvas"), pen = canvas.getContext("2d"), scale = devicePixelRatio, see = frame(), look = getComputedStyle(document.documentElement);
  canvas.width = see.width * scale; canvas.height = see.height * scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = "600 10px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
  page.map.places.forEach((place, at) => {
    const [x, y] = see.to(place), text = glyph(at);
    pen.fillStyle = ink(at) || look.getPropertyValue("--accent");
    pen.globalAlpha = text ? 0.8 : 0.55;
    if (text) pen.fillText(text, x, y);
    else { pen.beginPath(); pen.arc(x, y, 2.4, 0, 7); pen.fill(); }
  });
  pen.globalAlpha = 1;
  const mark = (place, size, colour) => { const [x, y] = see.to(place); pen.strokeStyle = look.getPropertyValue(colour); pen.lineWidth = 2; pen.beginPath(); pen.arc(x, y, size, 0, 7); pen.stroke(); };
  const chosen = page.input?.index === undefined ? -1 : page.map.rows.indexOf(page.input.index);
  if (chosen >= 0) mark(page.map.places[chosen], 8, "--ink");
  const now = projected(page.z[page.active]);
  if (now) { const [x, y] = see.to(now); pen.strokeStyle = look.getPropertyValue("--ink"); pen.lineWidth = 2; pen.beginPath(); pen.moveTo(x - 7, y); pen.lineTo(x + 7, y); pen.moveTo(x, y - 7); pen.lineTo(x, y + 7); pen.stroke(); }
  if (page.place) mark(page.place, 5, "--accent");
}
function projected(z) {
  const { axes, origin } = page.map;
  return z && axes && axes.map((axis) => axis.reduce((sum, a, k) => sum + a * (z[k] - (origin?.[k] ?? 0)), 0));
}
function lifted([x, y]) { // the latents at a place of the plane
  const { axes, origin, dims } = page.map;
  if (origin) return origin.map((o, k) => +(o + x * axes[0][k] + y * axes[1][k]).toFixed(4));
  const z = [...(page.z[page.active] ?? Array(active().latent).fill(0))];
  z[dims[0]] = +x.toFixed(4); z[dims[1]] = +y.toFixed(4);
  return z;
}
const lens = latest(async (place) => {
  const at = closest(place), figure = $("lens"), on = page.map.axes;
  const path = on ? "api/decode" : "api/reconstruct";
  const body = { run: page.active, ...(on ? { latents: [lifted(place)] } : { image: { index: page.map.rows[at] } }) };
  const answer = await told(path, body), image = figure.querySelector("img");
  image.src = answer.images.at(-1);
  image.alt = "what lies there";
  image.hidden = false;
  figure.querySelector("figcaption").textContent = on ? "What lies there" : "The nearest image, decoded";
  if (on) figure.dataset.latents = ""; else delete figure.dataset.latents;
  figure.querySelector(".actions").replaceChildren();
  actions(figure, [".png"], "place");
  if (on) figure.querySelector(".actions").append(make("button", { type: "button", className: "take", textContent: "To the sliders", onclick: () => move(body.latents[0]) }));
  shown(figure, path, body, answer);
});
function closest(place) {
  const see = frame(), [x, y] = see.to(place);
  let best = 0, least = Infinity;
  page.map.places.forEach((each, at) => { const [a, b] = see.to(each), far = (a - x) ** 2 + (b - y) ** 2; if (far < least) { least = far; best = at; } });
  return best;
}
function point(place) {
  const see = frame(), at = closest(place), tip = $("tip"), [x, y] = see.to(page.map.places[at]);
  page.place = place;
  tip.textContent = `image ${page.map.called[at]}${page.map.column ? `, ${page.map.column} ${labelled(at)}` : ""}`;
  tip.hidden = false;
  tip.style.left = `${Math.min(see.width - tip.offsetWidth - 4, Math.max(4, x + 10))}px`;
  tip.style.top = `${Math.max(4, y - 30)}px`;
  lens(place); draw();
}
function pointed(event) {
  const box = $("canvas").getBoundingClientRect();
  return frame().from(event.clientX - box.left, event.clientY - box.top);
}

// ---- the walk and the samples
function end(which) {
  page.ends[which] = page.input;
  const id = "ab"[which];
  $(`end-${id}`).src = $("original").src;
  $(`end-${id}`).alt = inputName();
  $(`end-${id}`).hidden = false;
  $(`name-${id}`).textContent = inputName();
  walk();
}
const walk = latest(async () => {
  if (!page.ends.every(Boolean)) return;
  const body = { run: page.active, images: page.ends, steps: +$("steps").value, spherical: $("line").value === "spherical" };
  const answer = await told("api/walk", body), figure = $("path");
  figure.hidden = false; $("walk-empty").hidden = true;
  figure.querySelector(".strip").replaceChildren(...answer.images.map((image, k) => picture(image, `step ${k}`)));
  $("scrub").max = answer.images.length - 1;
  $("scrub").oninput = () => { $("frame").src = answer.images[$("scrub").value]; $("frame").alt = `step ${$("scrub").value}`; };
  $("scrub").value = Math.min($("scrub").value, answer.images.length - 1);
  $("scrub").oninput();
  shown(figure, "api/walk", body, answer);
});
const sample = latest(async () => {
  const run = active(), standard = run.prior.learned && $("prior").value === "standard", body = { run: page.active, n: +$("n").value, seed: +$("seed").value, standard };
  if (run.prior.learned && !standard) {
    body.options = Object.fromEntries(run.prior.options.map(({ name, choices }) => [name, choices ? $(`option-${name}`).value : +$(`option-${name}`).value]));
    const picked = [...$("cond").querySelectorAll("[aria-pressed=true]")].map((each) => each.value);
    if (picked.length) body.cond = picked.join(",");
    if (run.prior.condition === "image") body.cond = $("cond").querySelector("input").value;
  }
  $("samples").setAttribute("aria-busy", "true");
  const answer = await told("api/sample", body).finally(() => $("samples").removeAttribute("aria-busy"));
  $("samples").querySelector(".grid").replaceChildren(...answer.images.map((image, k) => picture(image, `sample ${k} of seed ${body.seed}`)));
  shown($("samples"), "api/sample", body, answer);
  say(`${run.name}: ${body.n} samples of seed ${body.seed}.`);
});
function prior() {
  const { prior: told, name } = active(), learned = told.learned;
  $("about-prior").textContent = learned ? `Drawn from the prior that ${name} has learned, or from N(0, I), which its autoencoder was taught.`
    : active().latent === null ? "Drawn from N(0, I)." : "Drawn from N(0, I); no prior was learned in this run (latentia train latent_prior --autoencoder RUN does).";
  $("prior-label").hidden = !learned;
  $("options").replaceChildren(...(told.options ?? []).map(option));
  const box = $("cond"), row = box.querySelector(".row");
  box.hidden = !told.condition;
  if (told.condition === "class") {
    box.querySelector("legend").textContent = `${told.column}: none chosen, as often as in the data`;
    row.replaceChildren(...told.classes.slice(0, 64).map((text) => {
      const chip = make("button", { type: "button", textContent: text, value: text });
      chip.setAttribute("aria-pressed", "false");
      chip.onclick = () => { chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true"); sample(); };
      return chip;
    }));
  } else if (told.condition === "image") {
    box.querySelector("legend").textContent = `${told.column} of a test image, by its number`;
    row.replaceChildren(make("input", { type: "number", min: 0, value: 0, ariaLabel: `number of the test image whose ${told.column} is the condition`, onchange: () => sample() }));
  }
}
function option({ name, about, value, choices, low, whole }) {
  const field = choices ? make("select", {}, ...choices.map((each) => make("option", { textContent: each }))) : make("input", { type: "number", min: low ?? "", step: whole ? 1 : 0.1 });
  field.id = `option-${name}`; field.value = value; field.onchange = () => sample();
  return make("label", { title: about }, `${name[0].toUpperCase()}${name.slice(1)} `, field);
}

// ---- the whole page
function fill(select, rows, value) {
  select.replaceChildren(...rows.map(([key, text]) => make("option", { value: key, textContent: text })));
  if (value !== undefined) select.value = value;
}
function layout() {
  const run = active(), able = run.latent !== null, data = run.state === "ready";
  document.title = `${run.name} · latentia explorer`;
  document.querySelector("main").classList.toggle("only-samples", !able);
  for (const each of document.querySelectorAll(".needs-latents, .needs-data")) each.hidden = (each.classList.contains("needs-latents") && !able) || (each.classList.contains("needs-data") && !data);
  const said = [];
  if (!able) said.push(`${run.name} (${run.recipe}) only draws images: it has no encoder, so there are no latents to move, no map and no walk.`);
  if (run.state === "missing") said.push(`${run.missing} Sliders and samples work without them.`);
  if (run.state === "reading") said.push("The images are being read; map and neighbours appear when they are.");
  $("notes").replaceChildren(...said.map((text) => make("p", { textContent: text })));
  $("of").textContent = data ? `of ${run.count.toLocaleString()} in ${run.split}` : "";
  $("index").max = Math.max(0, run.count - 1);
}
const enter = attempt(async () => { // a run becomes the active one
  const run = active();
  layout(); figures();
  page.map = null;
  page.ends = [null, null];
  $("path").hidden = true; $("walk-empty").hidden = false;
  for (const id of ["end-a", "end-b"]) $(id).hidden = true;
  prior(); sample();
  if (run.latent === null) return;
  page.z[page.active] ??= Array(run.latent).fill(0);
  fill($("dim-x"), run.dims.map((dim) => [dim.dim, `z ${dim.name}`]));
  fill($("dim-y"), run.dims.map((dim) => [dim.dim, `z ${dim.name}`]), (run.dims[1] ?? run.dims[0]).dim);
  const columns = Object.keys(run.columns);
  fill($("column"), [["", "none"], ...columns.map((name) => [name, name])], columns[0] ?? "");
  $("column-label").hidden = !columns.length;
  $("refused").textContent = "";
  sliders(); dial(); show();
  await chart();
  if (page.input?.file || (page.input && run.state === "ready")) choose(page.input);
  else if (run.state === "ready") choose({ index: 0 });
  if (page.beside !== null && !page.input) show(page.beside);
});
const refresh = attempt(async () => { // asks what there is, until all images are read
  const found = await told("api/runs"), before = page.runs, identity = (run) => `${run?.name} ${run?.state}`;
  const was = before[page.active];
  page.runs = found.runs;
  if (page.active >= page.runs.length) page.active = 0;
  if (page.beside >= page.runs.length) page.beside = null;
  before.forEach((run, k) => { // other runs than before, after a new start: what was chosen of theirs is gone
    if (run.name === page.runs[k]?.name && run.latent === page.runs[k].latent) return;
    delete page.z[k]; delete page.own[k];
    if (run === was) page.input = null;
  });
  if (page.runs.map(identity).join() !== before.map(identity).join()) {
    const listed = page.runs.map((run, k) => [k, page.runs.filter((each) => each.name === run.name).length > 1 ? `${run.name} (${k + 1})` : run.name]);
    fill($("run"), listed, page.active);
    fill($("beside"), [["", "none"], ...listed], page.beside ?? "");
    $("beside-label").hidden = page.runs.length < 2;
    // One more run that is read must not take from the user what he does with the active one.
    if (identity(active()) !== identity(was)) await enter();
    else { layout(); figures(); }
  } else show();
  if (page.runs.some((run) => run.state === "reading")) setTimeout(refresh, 500);
});
$("run").onchange = () => { page.active = +$("run").value; if (page.beside === page.active) { page.beside = null; $("beside").value = ""; } enter(); };
$("beside").onchange = attempt(async () => {
  const value = $("beside").value;
  page.beside = value === "" || +value === page.active ? null : +value;
  figures(); show();
  if (page.beside !== null && page.input) await besides(page.input);
});
$("file").onchange = () => { opened($("file").files[0]); $("file").value = ""; };
$("index").onchange = () => choose({ index: Math.max(0, Math.floor(+$("index").value)) });
$("previous").onclick = () => choose({ index: Math.max(0, +$("index").value - 1) });
$("next").onclick = () => choose({ index: Math.min(active().count - 1, +$("index").value + 1) });
$("any").onclick = () => choose({ index: Math.floor(Math.random() * active().count) });
$("as-a").onclick = () => end(0);
$("as-b").onclick = () => end(1);
$("to-image").onclick = () => page.own[page.active] && move(page.own[page.active]);
$("to-zero").onclick = () => move(Array(active().latent).fill(0));
$("beta").oninput = () => { $("beta-now").textContent = `${beta()}`; turn(false); };
$("beta").onchange = () => turn(true);
for (const id of ["plane", "dim-x", "dim-y", "column"]) $(id).onchange = chart;
for (const id of ["steps", "line"]) $(id).onchange = () => walk();
for (const id of ["n", "prior"]) $(id).onchange = () => sample();
$("draw").onsubmit = (event) => { event.preventDefault(); sample(); };
$("another").onclick = () => { $("seed").value = +$("seed").value + 1; sample(); };
$("canvas").onpointermove = (event) => page.map && point(pointed(event));
$("canvas").onpointerleave = () => { $("tip").hidden = true; };
$("canvas").onclick = (event) => { if (page.map) { const at = closest(pointed(event)); point(page.map.places[at]); choose({ index: page.map.rows[at] }); } };
$("canvas").onkeydown = (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!page.map || (!step && event.key !== "Enter")) return;
  event.preventDefault();
  frame();
  const [a, b, c, d] = page.map.box, [x, y] = page.place ?? projected(page.z[page.active]) ?? [(a + b) / 2, (c + d) / 2];
  if (step) point([x + (step[0] * (b - a)) / 40, y + (step[1] * (d - c)) / 40]);
  else choose({ index: page.map.rows[closest([x, y])] });
};
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").onchange = draw;
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", () => document.body.classList.remove("dragging"));
addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("dragging"); if (active()?.latent !== null) opened(event.dataTransfer.files[0]); });
actions($("pair"), [".png"], "pair"); actions($("near"), [".png"], "neighbours"); actions($("path"), [".png", ".gif"], "walk"); actions($("samples"), [".png"], "samples");
if (location.search) history.replaceState(null, "", location.pathname); // the token is a cookie now
refresh();
