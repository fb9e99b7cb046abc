import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Programs that hooks call, with what they answer in the test's hands. */

export type HookCall = {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly data: Readonly<Record<string, string>>;
  readonly headers: Headers;
  readonly body: string;
  /** Whether a signature of `webhook-signature` is right, for each secret in turn. */
  readonly isSigned: readonly boolean[];
};

export type Receiver = {
  readonly url: string;
  /** Everything received, in order. */
  readonly calls: readonly HookCall[];
  /** What comes next is answered by it. */
  answer: (call: HookCall) => Response | Promise<Response>;
  /** Its block of a `routes.toml`. */
  block(name: string, more: string): string;
  stop(): void;
};

export const SECRETS = [Buffer.alloc(32, "one"), Buffer.alloc(24, "two")] as const;
export const written = (secret: Buffer) => `whsec_${secret.toString("base64")}`;

export const allow = (more: object = {}) => Response.json({ decision: "allow", ...more });
export const deny = (message?: string) => Response.json({ decision: "deny", message });

/** Answers only when the other side has given up. */
export const hang = () => new Promise<Response>(() => {});

/** @param unix listens there in place of a port. */
export function startReceiver(
  secrets: readonly Buffer[] = SECRETS.slice(0, 1),
  unix?: string,
  port = 0,
): Receiver {
  const folder = mkdtempSync(join(tmpdir(), "runegate-hook-"));
  const secretFile = join(folder, "secret");
  writeFileSync(secretFile, `${secrets.map(written).join("\n")}\n`, { mode: 0o600 });
  const calls: HookCall[] = [];
  const server = Bun.serve({
    ...(unix === undefined ? { hostname: "127.0.0.1", port } : { unix }),
    idleTimeout: 0,
    async fetch(request) {
      const body = await request.text();
      const { headers } = request;
      const id = headers.get("webhook-id") ?? "";
      const signed = `${id}.${headers.get("webhook-timestamp")}.${body}`;
      const signatures = (headers.get("webhook-signature") ?? "").split(" ");
      const isSigned = secrets.map((secret) =>
        signatures.includes(`v1,${createHmac("sha256", secret).update(signed).digest("base64")}`),
      );
      const event = JSON.parse(body) as Pick<HookCall, "type" | "timestamp" | "data">;
      const call = { id, ...event, headers, body, isSigned };
      calls.push(call);
      return receiver.answer(call);
    },
  } as Bun.Serve.Options<undefined>);
  const url = unix === undefined ? `http://127.0.0.1:${server.port}/hook?of=ours` : `unix:${unix}`;
  const receiver: Receiver = {
    url,
    calls,
    answer: () => new Response(null, { status: 204 }),
    block: (name, more) =>
      `[[hooks]]\nname = "${name}"\nurl = "${url}"\nsecret_file = "${secretFile}"\n${more}\n`,
    stop() {
      void server.stop(true);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return receiver;
}

export const EVERY_EVENT = `events = ["login_requested", "sign_in", "sign_out", "access_requested", "new_device", "key_created"]`;
export const SIGN_IN = `events = ["sign_in"]`;
export const DECIDE = `${SIGN_IN}\nmode = "decide"`;
