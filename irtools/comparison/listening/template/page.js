"use strict";
const test = JSON.parse(document.getElementById("test").textContent);
const SCALES = {IRQ: "interference reduction", AQ: "audio quality"};
const WORDS = ["bad", "poor", "fair", "good", "excellent"];
const OPEN = {microphone: "Microphone, unprocessed", reference: "Reference"};
const COLUMNS = ["listener", "trial", "stem", "condition", "position", "IRQ", "AQ", "seconds_listened", "started", "finished"];
const byId = id => document.getElementById(id);

// Order of a listener: the same as irtools.comparison.listening.orders computes.

function* draws(text) {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) state = Math.imul(state ^ byte, 0x01000193);
  for (;;) {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed);
    yield (mixed ^ mixed >>> 14) >>> 0;
  }
}

function shuffled(n, random) {
  const values = [...Array(n).keys()];
  for (let last = n - 1; last > 0; last--) {
    const other = Math.floor(random.next().value * (last + 1) / 2 ** 32);
    [values[last], values[other]] = [values[other], values[last]];
  }
  return values;
}

function orderOf(listener) {
  const random = draws(`${test.seed}/${listener}`), n = test.conditions.length;
  const trials = shuffled(test.trials.length, random), conditions = [];
  while (conditions.length < trials.length) {
    const [symbols, rows, columns] = [shuffled(n, random), shuffled(n, random), shuffled(n, random)];
    for (const row of rows) conditions.push(columns.map(column => symbols[(row + column) % n]));
  }
  return {trials, conditions: conditions.slice(0, trials.length)};
}

// What was entered outlives a reload: in localStorage, or in the window's name where a browser refuses that.

const KEY = `irtools-listening-${test.id}`;

function load() {
  let text = null;
  try { text = localStorage.getItem(KEY); } catch { /* refused */ }
  if (text === null && window.name.startsWith(KEY)) text = window.name.slice(KEY.length);
  try { return JSON.parse(text) || {listener: null, entries: {}}; } catch { return {listener: null, entries: {}}; }
}

function save() {
  const text = JSON.stringify(state);
  try { localStorage.setItem(KEY, text); } catch { window.name = KEY + text; }
}

const state = load();
let order = null;
const entry = () => state.entries[state.listener];
const current = () => entry().trials[entry().at];

function begin(listener) {
  state.listener = listener;
  if (!Object.hasOwn(state.entries, listener)) state.entries[listener] = {at: 0, trials: []};
  show();
}

// Sound: the clips of a trial are decoded together; a change of clip keeps the place in the music.

let audio = null, buffers = null, playing = null;

async function decoded(uri) {
  const bytes = Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), letter => letter.charCodeAt(0));
  return audio.decodeAudioData(bytes.buffer);
}

async function buffersOf(heard) {
  if (buffers?.heard === heard) return buffers;
  const trial = test.trials[order.trials[heard]];
  const clips = Promise.all(order.conditions[heard].map(one => decoded(trial.clips[one])));
  const names = Object.keys(trial.open);
  const opened = await Promise.all(names.map(name => decoded(trial.clips[trial.open[name]] ?? trial.open[name])));
  buffers = {heard, clips: await clips, open: Object.fromEntries(names.map((name, i) => [name, opened[i]]))};
  return buffers;
}

function count() {
  if (!playing) return;
  const now = audio.currentTime;
  if (playing.mark) playing.mark.heard += now - playing.counted;
  playing.counted = now;
  save();
}

function stop() {
  if (!playing) return 0;
  count();
  const {source, gain, button, began, offset} = playing, now = audio.currentTime;
  gain.gain.setTargetAtTime(0, now, 0.003);
  source.stop(now + 0.03);
  button.setAttribute("aria-pressed", "false");
  playing = null;
  return (offset + now - began) % source.buffer.duration;
}

let wanted = 0;

async function toggle(button, mark, bufferOf) {
  if (playing?.button === button) return void stop();
  const request = ++wanted, heard = entry().at;
  try {
    audio ??= new AudioContext();
    await audio.resume();
    const buffer = bufferOf(await buffersOf(heard));
    if (request !== wanted || heard !== entry().at) return;
    const offset = stop() % buffer.duration, source = audio.createBufferSource(), gain = audio.createGain();
    Object.assign(source, {buffer, loop: true});
    gain.gain.setValueAtTime(0, audio.currentTime);
    gain.gain.setTargetAtTime(1, audio.currentTime, 0.003);
    source.connect(gain).connect(audio.destination);
    source.start(0, offset);
    const began = audio.currentTime;
    playing = {source, gain, button, mark, began, counted: began, offset};
    button.setAttribute("aria-pressed", "true");
  } catch (error) {
    say(`The clip cannot be played: ${error.message}`);
  }
}

// What is seen

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const say = text => { byId("message").textContent = text; };
const letter = position => String.fromCharCode(65 + position % 26) + (position < 26 ? "" : Math.floor(position / 26));

function show() {
  save();
  const entered = state.listener === null ? null : entry();
  const section = !entered ? "start" : entered.at < test.trials.length ? "trial" : "done";
  for (const id of ["start", "trial", "done"]) byId(id).hidden = id !== section;
  if (section === "trial") showTrial();
  if (section === "done") showDone();
}

function showTrial() {
  order = orderOf(state.listener);
  const {at, trials} = entry(), trial = test.trials[order.trials[at]];
  trials[at] ??= {
    started: new Date().toISOString(), finished: null,
    marks: test.conditions.map(() => ({IRQ: null, AQ: null, heard: 0})),
  };
  save();
  say("");
  byId("trial-title").textContent = `Excerpt ${at + 1} of ${test.trials.length}: ${trial.label}`;
  byId("next").textContent = at + 1 < test.trials.length ? "Next excerpt" : "Finish";
  byId("open").replaceChildren(...Object.keys(trial.open).map(openButton));
  byId("clips").replaceChildren(...trials[at].marks.map(clipRow));
  focusOn(0, "IRQ");
}

function openButton(name) {
  const button = element("button", {type: "button", "data-play": name, "aria-pressed": "false"}, `▶ ${OPEN[name]}`);
  button.onclick = () => toggle(button, null, buffers => buffers.open[name]);
  return button;
}

function clipRow(mark, position) {
  const name = `Clip ${letter(position)}`;
  const play = element("button", {type: "button", class: "play", "aria-pressed": "false"}, `▶ ${name}`);
  play.onclick = () => toggle(play, mark, buffers => buffers.clips[position]);
  const scales = Object.keys(SCALES).map(scale => {
    const marks = element("div", {class: "marks", role: "group", "aria-label": `${name}, ${SCALES[scale]}`});
    WORDS.forEach((word, index) => {
      const pressed = String(mark[scale] === index + 1);
      const button = element("button",
        {type: "button", "aria-pressed": pressed, "aria-label": `${index + 1} ${word}`, "data-scale": scale}, `${index + 1}`);
      button.onclick = () => rate(position, scale, index + 1);
      marks.append(button);
    });
    return element("div", {}, element("div", {"aria-hidden": "true"}, scale), marks);
  });
  return element("div", {class: "clip", role: "group", "aria-label": name, "data-clip": position}, play, ...scales);
}

const buttonsOf = (position, scale) =>
  [...byId("clips").children[position].querySelectorAll(`[data-scale=${scale}]`)];

function focusOn(position, scale) {
  const value = current().marks[position][scale];
  buttonsOf(position, scale)[(value ?? 1) - 1].focus();
}

function rate(position, scale, value) {
  current().marks[position][scale] = value;
  buttonsOf(position, scale).forEach((button, index) => button.setAttribute("aria-pressed", String(index + 1 === value)));
  say("");
  count();
  save();
  focusOn(position, scale);
}

function next() {
  stop();
  const marks = current().marks;
  for (const [position, mark] of marks.entries()) {
    const scale = Object.keys(SCALES).find(scale => mark[scale] === null);
    const lacks = scale ? `no mark of ${SCALES[scale]}` : mark.heard > 0 ? null : "not been heard";
    if (lacks) {
      say(`Clip ${letter(position)} has ${lacks}.`);
      return focusOn(position, scale ?? "IRQ");
    }
  }
  current().finished = new Date().toISOString();
  entry().at++;
  show();
}

function keyed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const row = event.target.closest("[data-clip]"), {key} = event, last = test.conditions.length - 1;
  const position = Number(row?.dataset.clip ?? 0), scale = event.target.dataset.scale ?? "IRQ";
  const opened = {r: "reference", m: "microphone"}[key.toLowerCase()];
  const actions = {
    ArrowUp: () => focusOn(Math.max(position - 1, 0), scale),
    ArrowDown: () => focusOn(row ? Math.min(position + 1, last) : 0, scale),
    ArrowLeft: () => focusOn(position, "IRQ"),
    ArrowRight: () => focusOn(position, "AQ"),
    n: next, N: next,
  };
  if (row && /^[1-5]$/.test(key)) rate(position, scale, Number(key));
  else if (row && key === " ") { if (!event.repeat) row.querySelector(".play").click(); }
  else if (opened) { if (!event.repeat) byId("open").querySelector(`[data-play=${opened}]`)?.click(); }
  else if (Object.hasOwn(actions, key)) actions[key]();
  else return;
  event.preventDefault();
}

// What is saved

const quoted = value => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);

function csv() {
  const rows = [COLUMNS];
  entry().trials.forEach(({started, finished, marks}, heard) => marks.forEach((mark, position) => {
    const trial = order.trials[heard], condition = test.conditions[order.conditions[heard][position]];
    rows.push([state.listener, trial + 1, test.trials[trial].stem, condition, position + 1, mark.IRQ, mark.AQ,
      mark.heard.toFixed(2), started, finished]);
  }));
  return rows.map(row => row.map(quoted).join(",") + "\r\n").join("");
}

function showDone() {
  order = orderOf(state.listener);
  const link = byId("save");
  if (link.href) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  link.download = `listening-${state.listener}.csv`;
  byId("done-title").focus();
}

byId("how-many").textContent = test.trials.length === 1 ? "one excerpt" : `${test.trials.length} excerpts`;
for (const row of document.querySelectorAll("tr[data-open]"))
  row.hidden = !test.trials.some(trial => Object.hasOwn(trial.open, row.dataset.open));
byId("begin").onsubmit = event => { event.preventDefault(); begin(byId("listener").value); };
byId("next").onclick = next;
byId("another").onclick = () => { state.listener = null; show(); byId("listener").value = ""; byId("listener").focus(); };
byId("compare").addEventListener("keydown", keyed);
// Some browsers press a button when Space is let go.
byId("compare").addEventListener("keyup", event => { if (event.key === " ") event.preventDefault(); });
setInterval(count, 1000);
// Phones tell the first alone; a window's name is kept only if it is set by the second.
for (const leaving of ["pagehide", "beforeunload"]) window.addEventListener(leaving, stop);
show();
