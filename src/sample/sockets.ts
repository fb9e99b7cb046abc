import { MIB } from "../option/values.ts";
import { userOf } from "./page.ts";

/** The two WebSocket endpoints: `/ws/echo`, and `/ws/chat`, a room that takes `{"text": "…"}`. */

export type ChatLine = { readonly name: string; readonly text: string; readonly at: string };

/** What the room sends, as JSON. */
export type ChatEvent =
  | {
      readonly type: "welcome";
      readonly you: string;
      readonly present: readonly string[];
      readonly history: readonly ChatLine[];
    }
  | { readonly type: "joined" | "left"; readonly name: string; readonly present: readonly string[] }
  | ({ readonly type: "message" } & ChatLine)
  | { readonly type: "refused"; readonly reason: string };

/** Of somebody in the chat. */
export type SocketData = { readonly name?: string };
type Socket = Bun.ServerWebSocket<SocketData>;
type Server = Bun.Server<SocketData>;

const CHAT_PROTOCOL = "chat.v1";
/** As much as Runegate lets through: a message of 64 MiB. */
const MAX_MESSAGE = 64 * MIB;
const HISTORY = 30;
const MAX_TEXT = 1000;
/** `/close 4001 see you`: what an echo socket takes as the wish to be closed from this side, so that both can be seen. */
const CLOSE_COMMAND = /^\/close (1000|[34]\d{3})(?: (.{1,40}))?$/;

let guests = 0;

/** The answer to a handshake: undefined once it is a WebSocket, else the refusal. */
export function upgradeToEcho(request: Request, server: Server): Response | undefined {
  return server.upgrade(request, { data: {} }) ? undefined : upgradeRequired();
}

/** As {@link upgradeToEcho}; the client must offer `chat.v1` (RFC 6455 §4.2.2), and is called what the gateway calls it. */
export function upgradeToChat(request: Request, server: Server): Response | undefined {
  const offered = request.headers.get("sec-websocket-protocol")?.split(/\s*,\s*/) ?? [];
  if (request.headers.has("sec-websocket-key") && !offered.includes(CHAT_PROTOCOL)) {
    const message = `Offer the sub-protocol ${CHAT_PROTOCOL}.`;
    return Response.json({ message, error: "unknown_protocol" }, { status: 400 });
  }
  const name = userOf(request.headers) ?? `guest ${++guests}`;
  const headers = { "Sec-WebSocket-Protocol": CHAT_PROTOCOL };
  return server.upgrade(request, { data: { name }, headers }) ? undefined : upgradeRequired();
}

/** RFC 9110 §15.5.22. */
function upgradeRequired(): Response {
  return Response.json(
    { message: "This is a WebSocket.", error: "upgrade_required" },
    { status: 426, headers: { Upgrade: "websocket", Connection: "Upgrade" } },
  );
}

/** The handlers for `Bun.serve`, with a chat room of their own. */
export function createSocketHandlers(): Bun.WebSocketHandler<SocketData> {
  const members = new Map<Socket, string>();
  const history: ChatLine[] = [];
  const send = (socket: Socket, event: ChatEvent) => socket.send(JSON.stringify(event));
  const sendAll = (event: ChatEvent, except?: Socket) => {
    for (const socket of members.keys()) if (socket !== except) send(socket, event);
  };
  const present = () => [...new Set(members.values())].sort().slice(0, 50);

  function say(socket: Socket, name: string, message: string | Uint8Array): void {
    const text = textOf(message);
    const reason = `Send {"text": "…"} of 1 to ${MAX_TEXT} characters.`;
    if (text === undefined) return void send(socket, { type: "refused", reason });
    const line = { name, text, at: new Date().toISOString() };
    history.push(line);
    if (history.length > HISTORY) history.shift();
    sendAll({ type: "message", ...line });
  }

  return {
    maxPayloadLength: MAX_MESSAGE,
    // A reader that falls further behind is dropped: its messages would only pile up here.
    backpressureLimit: MAX_MESSAGE,
    closeOnBackpressureLimit: true,
    open(socket) {
      const { name } = socket.data;
      if (name === undefined) return;
      members.set(socket, name);
      send(socket, { type: "welcome", you: name, present: present(), history });
      sendAll({ type: "joined", name, present: present() }, socket);
    },
    message(socket, message) {
      const { name } = socket.data;
      if (name !== undefined) return say(socket, name, message);
      const command = typeof message === "string" ? CLOSE_COMMAND.exec(message) : null;
      if (command === null) socket.send(message);
      else socket.close(Number(command[1]), command[2]);
    },
    close(socket) {
      const { name } = socket.data;
      if (name !== undefined && members.delete(socket)) sendAll({ type: "left", name, present: present() });
    },
  };
}

function textOf(message: string | Uint8Array): string | undefined {
  // Six bytes for each character, as `\u1234`, and room for the braces: anything longer is not worth parsing.
  if (typeof message !== "string" || message.length > 6 * MAX_TEXT + 100) return undefined;
  try {
    const text = Object(JSON.parse(message)).text?.trim() ?? "";
    return text === "" || text.length > MAX_TEXT ? undefined : text;
  } catch {
    return undefined;
  }
}
