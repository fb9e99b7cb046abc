/** The moving parts of the page: clock, chat, echo, upload. Everything else works without them. */

const element = (id) => document.getElementById(id);

let ended = false;

/**
 * Finds out why a stream or socket broke, which neither will tell: asks for something small and looks at the status.
 * With 401 the session is over, and trying again is of no use. Anything else may pass.
 */
async function sessionHasEnded() {
  if (ended) return true;
  try {
    const response = await fetch("/whoami", { headers: { Accept: "application/json" } });
    if (response.status === 401) showEnded(await response.json().catch(() => ({})));
  } catch {
    // Nobody answers: the gateway may be restarting.
  }
  return ended;
}

/** Says that the session is over, with the way back to where the gateway says one signs in. */
function showEnded({ login_url: loginUrl }) {
  ended = true;
  const url = new URL(typeof loginUrl === "string" ? loginUrl : "/", location.href);
  // Without a usable address the page itself will do: the gateway sends whoever opens it to sign in.
  element("sign-in").href = /^https?:$/.test(url.protocol) ? url.href : "/";
  element("ended").hidden = false;
  element("ended").scrollIntoView({ block: "center" });
}

/** Waits before attempt number `attempt`: half a second, twice that, … ten seconds, each a bit random. */
function backOff(attempt) {
  const ms = Math.min(10_000, 500 * 2 ** attempt) * (0.75 + Math.random() / 2);
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function showState(id, text, on = false) {
  element(id).textContent = text;
  element(id).classList.toggle("on", on);
}

/** Adds a line to a log, at most a hundred of them, and keeps its end in view. */
function addLine(list, className, ...parts) {
  const item = document.createElement("li");
  item.className = className;
  item.append(...parts);
  list.append(item);
  if (list.children.length > 100) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

function bold(text) {
  const b = document.createElement("b");
  b.textContent = text;
  return b;
}

/* ---- Clock ---- */

const ticks = element("ticks");
ticks.append(...Array.from({ length: 60 }, () => document.createElement("i")));

function startClock(attempt = 0) {
  let failures = attempt;
  const source = new EventSource("/events");
  source.addEventListener("open", () => showState("clock-state", "live", true));
  source.addEventListener("tick", (event) => {
    failures = 0;
    const { now, listeners } = JSON.parse(event.data);
    const date = new Date(now);
    element("time").textContent = date.toLocaleTimeString("en-GB");
    element("time").dateTime = now;
    element("clock-detail").textContent =
      `The application’s clock, heard ${Math.max(0, Date.now() - date)} ms later over /events. ` +
      `${listeners === 1 ? "Only you are" : `${listeners} are`} listening.`;
    for (const bar of ticks.children) bar.className = "";
    for (let second = 0; second <= date.getSeconds(); second++) ticks.children[second].className = "heard";
  });
  source.addEventListener("error", async () => {
    showState("clock-state", "reconnecting");
    const refused = source.readyState === EventSource.CLOSED;
    if (await sessionHasEnded()) {
      source.close();
      showState("clock-state", "session ended");
    } else if (refused) {
      // After an answer that is no event stream, such as 502, the browser gives up; this does not.
      await backOff(failures);
      startClock(failures + 1);
    }
  });
}
startClock();

/* ---- Sockets ---- */

/**
 * A WebSocket that comes back by itself, until it is told to stay closed or the session is over.
 * @returns `send`, which says whether it could, and `toggle`, which closes it for good or opens it again.
 */
function keepSocket({ path, protocols, state, toggle, onMessage, onClose }) {
  let socket;
  let wanted = true;
  let attempt = 0;

  const label = () => {
    element(toggle.id).textContent = wanted ? toggle.close : toggle.open;
  };
  const open = () => {
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    showState(state, "connecting");
    const opening = new WebSocket(url, protocols);
    socket = opening;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      attempt = 0;
      showState(state, opening.protocol || "open", true);
    });
    socket.addEventListener("message", ({ data }) => onMessage(data));
    socket.addEventListener("close", async ({ code, reason }) => {
      if (socket !== opening) return;
      onClose(code, reason);
      showState(state, "closed");
      if (!wanted) return;
      if (await sessionHasEnded()) return showState(state, "session ended");
      showState(state, "reconnecting");
      await backOff(attempt++);
      if (wanted && socket === opening) open();
    });
  };
  element(toggle.id).addEventListener("click", () => {
    wanted = !wanted;
    label();
    if (wanted) open();
    else socket.close(1000, "that is all");
  });
  label();
  open();
  return (data) => {
    if (socket.readyState !== WebSocket.OPEN) return false;
    socket.send(data);
    return true;
  };
}

const chatLog = element("chat-log");

function showPresent(names) {
  element("chat-present").textContent = `Here now: ${names.join(", ")}.`;
}

const sayInChat = keepSocket({
  path: "/ws/chat",
  protocols: ["chat.v1"],
  state: "chat-state",
  toggle: { id: "chat-toggle", open: "Join again", close: "Leave" },
  onMessage(data) {
    const event = JSON.parse(data);
    if (event.type === "welcome") {
      chatLog.replaceChildren();
      for (const { name, text } of event.history) addLine(chatLog, "", bold(name), ` ${text}`);
      addLine(chatLog, "note", `You are in, as ${event.you}.`);
    }
    if (event.type === "message") addLine(chatLog, "", bold(event.name), ` ${event.text}`);
    if (event.type === "joined") addLine(chatLog, "note", `${event.name} came in.`);
    if (event.type === "left") addLine(chatLog, "note", `${event.name} left.`);
    if (event.type === "refused") addLine(chatLog, "note", event.reason);
    if (event.present) showPresent(event.present);
  },
  onClose: (code, reason) => addLine(chatLog, "note", closeText(code, reason)),
});

element("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = element("chat-text");
  if (input.value.trim() !== "" && sayInChat(JSON.stringify({ text: input.value }))) input.value = "";
});

const echoLog = element("echo-log");

const echo = keepSocket({
  path: "/ws/echo",
  protocols: [],
  state: "echo-state",
  toggle: { id: "echo-toggle", open: "Open again", close: "Close" },
  onMessage(data) {
    if (typeof data === "string") addLine(echoLog, "", `← ${data}`);
    else addLine(echoLog, "", `← ${data.byteLength.toLocaleString("en-US")} bytes`);
  },
  onClose: (code, reason) => addLine(echoLog, "note", closeText(code, reason)),
});

function closeText(code, reason) {
  return `Closed with code ${code}${reason ? ` (${reason})` : ""}.`;
}

element("echo-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = element("echo-text");
  if (input.value === "" || !echo(input.value)) return;
  addLine(echoLog, "", `→ ${input.value}`);
  input.value = "";
});
element("echo-bytes").addEventListener("click", () => {
  if (echo(new Uint8Array(1_000_000))) addLine(echoLog, "", "→ 1,000,000 bytes");
});
element("echo-server-close").addEventListener("click", () => {
  if (echo("/close 4001 as you wish")) addLine(echoLog, "", "→ /close 4001 as you wish");
});

/* ---- Upload ---- */

const uploadForm = element("upload-form");
const uploadProgress = element("upload-progress");
const uploadResult = element("upload-result");

uploadForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = element("upload-file").files;
  if (file === undefined) return;
  // Not fetch(): only an XMLHttpRequest tells how much has gone out.
  const request = new XMLHttpRequest();
  request.open("POST", `/upload?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.responseType = "json";
  request.upload.addEventListener("progress", ({ loaded }) => {
    uploadProgress.value = file.size === 0 ? 1 : loaded / file.size;
    uploadResult.textContent = `${loaded.toLocaleString("en-US")} of ${file.size.toLocaleString("en-US")} bytes`;
  });
  request.addEventListener("load", () => {
    if (request.status === 200) showUpload(request.response);
    else if (request.status === 401) showEnded(request.response ?? {});
    else showUploadFailure(request.response?.message ?? `The upload was answered with ${request.status}.`);
  });
  request.addEventListener("error", () => showUploadFailure("The connection broke off."));
  request.addEventListener("abort", () => showUploadFailure("Canceled."));
  request.addEventListener("loadend", () => setUploading(false));
  element("upload-cancel").onclick = () => request.abort();
  setUploading(true);
  uploadProgress.value = 0;
  uploadResult.replaceChildren();
  request.send(file);
});

function setUploading(uploading) {
  uploadForm.querySelector("button").disabled = uploading;
  element("upload-cancel").hidden = !uploading;
  uploadProgress.hidden = !uploading;
}

function showUpload({ name, bytes, sha256, seconds }) {
  const rate = seconds > 0 ? `, ${(bytes / seconds / 1e6).toFixed(1)} MB/s` : "";
  const rows = [
    ["Name", name],
    ["Bytes", bytes.toLocaleString("en-US")],
    ["Seconds", `${seconds}${rate}`],
    ["SHA-256", sha256],
  ];
  const list = document.createElement("dl");
  list.className = "pairs";
  for (const [term, value] of rows) {
    const row = document.createElement("div");
    row.append(document.createElement("dt"), document.createElement("dd"));
    row.firstChild.textContent = term;
    row.lastChild.textContent = value;
    list.append(row);
  }
  uploadResult.replaceChildren(list);
}

function showUploadFailure(message) {
  const p = document.createElement("p");
  p.className = "failed";
  p.textContent = message;
  uploadResult.replaceChildren(p);
}
