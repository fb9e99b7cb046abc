import { CHAT_PROTOCOL, type ChatSocket, createChat } from "./chat.ts";
import { identityOf } from "./identity.ts";

/** The two WebSocket endpoints: `/ws/echo` and `/ws/chat`. */

/** What a socket carries; a chat socket's `member` is set once it is open. */
export type SocketData =
  | { readonly kind: "echo" }
  | { readonly kind: "chat"; readonly name: string; member?: ChatSocket };

/** As much as Runegate lets through: a message of 64 MiB. */
const MAX_MESSAGE = 64 * 2 ** 20;

/** `/close 4001 see you`: what an echo socket takes as the wish to be closed from this side, so that both can be seen. */
const CLOSE_COMMAND = /^\/close (1000|[34]\d{3})(?: (.{1,40}))?$/;

type Server = Bun.Server<SocketData>;

/** The answer to a handshake: undefined once it is a WebSocket, else the refusal. */
export function upgradeToEcho(request: Request, server: Server): Response | undefined {
  return server.upgrade(request, { data: { kind: "echo" } }) ? undefined : upgradeRequired();
}

let guests = 0;

/** As {@link upgradeToEcho}; the client must offer `chat.v1` (RFC 6455 §4.2.2), and is called what the gateway calls it. */
export function upgradeToChat(request: Request, server: Server): Response | undefined {
  const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  if (request.headers.has("sec-websocket-key") && !offered.includes(CHAT_PROTOCOL)) {
    const message = `Offer the sub-protocol ${CHAT_PROTOCOL}.`;
    return Response.json({ message, error: "unknown_protocol" }, { status: 400 });
  }
  const name = identityOf(request.headers).user ?? `guest ${++guests}`;
  const upgraded = server.upgrade(request, {
    data: { kind: "chat", name },
    headers: { "Sec-WebSocket-Protocol": CHAT_PROTOCOL },
  });
  return upgraded ? undefined : upgradeRequired();
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
  const chat = createChat();
  return {
    maxPayloadLength: MAX_MESSAGE,
    // A reader that falls further behind is dropped: its messages would only pile up here.
    backpressureLimit: MAX_MESSAGE,
    closeOnBackpressureLimit: true,
    open(socket) {
      const { data } = socket;
      if (data.kind !== "chat") return;
      data.member = { name: data.name, send: (text) => socket.send(text) };
      chat.join(data.member);
    },
    message(socket, message) {
      const { data } = socket;
      if (data.kind === "chat") {
        if (data.member !== undefined) chat.say(data.member, message);
        return;
      }
      const command = typeof message === "string" ? CLOSE_COMMAND.exec(message) : null;
      if (command === null) socket.send(message);
      else socket.close(Number(command[1]), command[2]);
    },
    close({ data }) {
      if (data.kind === "chat" && data.member !== undefined) chat.leave(data.member);
    },
  };
}
