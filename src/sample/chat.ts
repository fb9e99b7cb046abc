/** The chat room, over any kind of socket: who is in it, what was said last, and who may say how much. */

export const CHAT_PROTOCOL = "chat.v1";

/** What the room needs of a socket. */
export type ChatSocket = { readonly name: string; send(text: string): unknown };

export type ChatLine = { readonly name: string; readonly text: string; readonly at: string };

/** What the room sends, as JSON. It takes `{"text": "…"}`. */
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

const HISTORY = 30;
const MAX_TEXT = 1000;
/** More messages than this within {@link BURST_MS} from one socket are refused. */
const BURST = 20;
const BURST_MS = 10_000;
const MAX_NAMES = 50;

export type Chat = {
  join(socket: ChatSocket): void;
  say(socket: ChatSocket, message: string | Uint8Array): void;
  leave(socket: ChatSocket): void;
};

export function createChat(): Chat {
  /** When each socket's latest messages came, in monotonic milliseconds. */
  const sockets = new Map<ChatSocket, number[]>();
  const history: ChatLine[] = [];

  const send = (socket: ChatSocket, event: ChatEvent) => socket.send(JSON.stringify(event));
  const sendAll = (event: ChatEvent, except?: ChatSocket) => {
    const text = JSON.stringify(event);
    for (const socket of sockets.keys()) if (socket !== except) socket.send(text);
  };
  const present = () => [...new Set([...sockets.keys()].map(({ name }) => name))].sort().slice(0, MAX_NAMES);

  return {
    join(socket) {
      sockets.set(socket, []);
      send(socket, { type: "welcome", you: socket.name, present: present(), history });
      sendAll({ type: "joined", name: socket.name, present: present() }, socket);
    },
    say(socket, message) {
      const text = textOf(message);
      if (text === undefined) {
        return send(socket, {
          type: "refused",
          reason: `Send {"text": "…"} of 1 to ${MAX_TEXT} characters.`,
        });
      }
      const now = performance.now();
      const recent = (sockets.get(socket) ?? []).filter((at) => at > now - BURST_MS);
      if (recent.length >= BURST) return send(socket, { type: "refused", reason: "Slower, please." });
      sockets.set(socket, [...recent, now]);
      const line = { name: socket.name, text, at: new Date().toISOString() };
      history.push(line);
      if (history.length > HISTORY) history.shift();
      sendAll({ type: "message", ...line });
    },
    leave(socket) {
      if (sockets.delete(socket)) sendAll({ type: "left", name: socket.name, present: present() });
    },
  };
}

function textOf(message: string | Uint8Array): string | undefined {
  // Six bytes for each character, as `\u1234`, and room for the braces: anything longer is not worth parsing.
  if (typeof message !== "string" || message.length > 6 * MAX_TEXT + 100) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    return undefined;
  }
  const text =
    typeof value === "object" && value !== null && "text" in value && typeof value.text === "string"
      ? value.text.trim()
      : "";
  return text === "" || text.length > MAX_TEXT ? undefined : text;
}
