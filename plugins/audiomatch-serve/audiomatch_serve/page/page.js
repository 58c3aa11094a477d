// Records or takes a clip, sends it with the text, and shows the answer.
const $ = (id) => document.getElementById(id);
const READABLE = /\.(wav|flac|ogg|opus|mp3)$/i; // by the server itself
const VERDICTS = {
  match: ["✓", "Match: the clip says the text"],
  mismatch: ["✗", "Mismatch: the clip does not say the text"],
  listen: ["?", "Listen: not sure, a person should hear it"],
  "no speech": ["–", "No speech: nobody speaks in the clip"],
};
const MICROPHONE = {
  NotAllowedError: "The microphone is not allowed. Allow it for this page, or pick a file.",
  NotFoundError: "No microphone was found. Plug one in, or pick a file.",
};

let limits = { upload_bytes: 16e6, text_characters: 2000, clip_seconds: 30 };
let clip = null; // the Blob that was judged last
let recording = null;

function say(text) {
  $("status").textContent = text;
}

function fail(text) {
  document.body.dataset.state = "error";
  say("");
  $("error").textContent = text;
  $("error").hidden = false;
}

function enter(state, text) {
  document.body.dataset.state = state;
  $("error").hidden = true;
  $("recording").hidden = state !== "recording";
  $("record-label").textContent = state === "recording" ? "Stop and judge" : "Record";
  $("record").disabled = state === "asking" || state === "judging" || state === "warming";
  $("file").disabled = state !== "idle" && state !== "done";
  $("again").hidden = clip === null || state === "recording" || state === "asking";
  $("again").disabled = state === "judging";
  say(text);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// A WAV file of 16-bit mono.
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const write = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => {
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true);
  });
  return new Blob([view.buffer], { type: "audio/wav" });
}

async function startRecording() {
  if (!navigator.mediaDevices) {
    fail("The browser gives the microphone to pages by https or on localhost only. Pick a file.");
    return;
  }
  enter("asking", "Allow the microphone…");
  let stream;
  let context;
  try {
    // As it sounds: what tidies speech for calls also changes it.
    stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    context = new AudioContext();
    await context.resume();
    await context.audioWorklet.addModule("recorder.js");
  } catch (error) {
    stream?.getTracks().forEach((track) => track.stop());
    enter("idle", "");
    fail(MICROPHONE[error.name] ?? `The microphone cannot be used: ${error.message}`);
    return;
  }
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
  const blocks = [];
  let count = 0;
  node.port.onmessage = ({ data }) => {
    blocks.push(data);
    count += data.length;
    $("level").value = Math.min(1, data.reduce((most, v) => Math.max(most, Math.abs(v)), 0));
    const seconds = count / context.sampleRate;
    $("time").textContent = `${clock(seconds)} of ${clock(limits.clip_seconds)}`;
    if (seconds >= limits.clip_seconds - 0.2) stopRecording();
  };
  context.createMediaStreamSource(stream).connect(node);
  recording = { stream, context, blocks };
  $("result").hidden = true;
  enter("recording", "Recording. Read the text aloud.");
}

async function stopRecording() {
  if (recording === null) return;
  const { stream, context, blocks } = recording;
  recording = null;
  stream.getTracks().forEach((track) => track.stop());
  const rate = context.sampleRate;
  await context.close();
  const samples = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    samples.set(block, at);
    at += block.length;
  }
  if (!samples.some((value) => Math.abs(value) > 1e-4)) {
    enter("idle", "");
    fail("The microphone gave silence. Is it muted?");
    return;
  }
  await judge(wav(samples, rate));
}

// What the server cannot read itself, the browser may: as 16 kHz mono.
async function readable(file) {
  if (READABLE.test(file.name)) return file;
  const data = await file.arrayBuffer();
  const decoded = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(data);
  const samples = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
    decoded.getChannelData(channel).forEach((v, i) => {
      samples[i] += v / decoded.numberOfChannels;
    });
  }
  return wav(samples, 16000);
}

async function takeFile() {
  const [file] = $("file").files;
  $("file").value = "";
  if (!file) return;
  try {
    await judge(await readable(file));
  } catch {
    fail(`${file.name} cannot be read as audio.`);
  }
}

async function judge(audio) {
  const text = $("text").value.trim();
  clip = audio;
  $("result").hidden = true;
  if (!text) {
    enter("idle", "");
    fail("There is no text. Write what the clip should say, then judge again.");
    $("text").focus();
    return;
  }
  if (audio.size > limits.upload_bytes) {
    enter("idle", "");
    fail(`The file is larger than ${limits.upload_bytes / 1e6} MB.`);
    return;
  }
  enter("judging", "Judging…");
  const form = new FormData();
  form.append("text", text);
  form.append("audio", audio, "clip");
  let answer;
  try {
    const response = await fetch("v1/score", { method: "POST", body: form });
    answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
  } catch (error) {
    enter("idle", "");
    // fetch throws a TypeError where there is no answer.
    fail(error instanceof TypeError ? "The server cannot be reached." : error.message);
    return;
  }
  show(answer);
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function wordItem(word) {
  const item = element("li", word.said ? "said" : "off", "");
  if (word.said) {
    item.append(element("span", "word", word.word));
    return item;
  }
  const mark = element("span", "sign", "✗");
  mark.setAttribute("aria-hidden", "true");
  const line = element("span", "word", "");
  line.append(mark, element("s", "", word.word), element("span", "hidden", " was not said;"));
  const heard = word.heard ? `heard “${word.heard}”` : "nothing heard";
  item.append(line, element("span", "heard", heard));
  return item;
}

function show(answer) {
  enter("done", "");
  const [mark, text] = VERDICTS[answer.verdict];
  $("result").dataset.verdict = answer.verdict;
  $("mark").textContent = mark;
  $("verdict-text").textContent = text;
  $("p-match").value = answer.p_match;
  $("p-match-text").textContent = answer.p_match.toFixed(2);
  $("warnings").hidden = answer.warnings.length === 0;
  $("warnings").textContent = `Mind that ${answer.warnings.join("; ")}.`;
  $("words-box").hidden = answer.words === null;
  $("words").replaceChildren(...(answer.words ?? []).map(wordItem));
  $("legend").hidden = (answer.words ?? []).every((word) => word.said);
  $("heard").textContent = answer.heard === null ? "" : `All that was heard: “${answer.heard}”`;
  $("facts").textContent = `${answer.seconds.toFixed(1)} s of audio, judged by ${answer.model}`;
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(clip);
  $("result").hidden = false;
  $("result").focus();
}

async function warm() {
  try {
    const health = await (await fetch("health")).json();
    limits = health.limits;
    $("text").maxLength = limits.text_characters;
    $("time").textContent = `0:00 of ${clock(limits.clip_seconds)}`;
    $("privacy").textContent = health.keeps
      ? "This server keeps clips, texts and answers."
      : "Clips and texts go to this server alone and are not kept.";
    if (health.status === "ready") {
      enter("idle", "Ready.");
      return;
    }
    enter("warming", "The model is warming up…");
  } catch {
    enter("warming", "");
    fail("The server cannot be reached.");
  }
  setTimeout(warm, 1000);
}

$("record").addEventListener("click", () => (recording ? stopRecording() : startRecording()));
$("file").addEventListener("change", takeFile);
$("again").addEventListener("click", () => judge(clip));
warm();
