/**
 * Receives what Runegate's hooks send (Standard Webhooks), on Bun or Node and with no package.
 *
 *     HOOK_SECRET_FILE=/etc/runegate/secrets/crm bun receiver.ts 127.0.0.1:8090
 *
 * (Node reads TypeScript from 22.18 on.) Prints each event once, as one line of JSON. To a hook of mode "decide" it says yes, but for
 * the addresses in HOOK_DENY. Copy it, and put your own in place of `decide` and `happened`.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";

type HookEvent = { type: string; timestamp: string; data: Record<string, string> };

const TOLERANCE = 5 * 60; // seconds
const MOST_BYTES = 20_000;
const MOST_KNOWN = 10_000;

const secrets = readFileSync(process.env.HOOK_SECRET_FILE ?? "", "utf8")
  .split("\n")
  .map((line) => line.trim())
  .filter((line) => line !== "")
  .map((line) => Buffer.from(line.replace(/^whsec_/, ""), "base64"));
const denied = new Set((process.env.HOOK_DENY ?? "").split(",").filter((one) => one !== ""));
const known = new Set<string>();

/** Whether this body is from Runegate, and has been sent just now. @param now seconds since the Unix epoch */
function verified(headers: IncomingMessage["headers"], body: Buffer, now: number): boolean {
  const [id, sent, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    String(headers[name] ?? ""),
  );
  if (!/^\d+$/.test(sent ?? "") || Math.abs(now - Number(sent)) > TOLERANCE) return false;
  const expected = secrets.map((secret) => {
    return createHmac("sha256", secret).update(`${id}.${sent}.`).update(body).digest();
  });
  let good = false;
  for (const signature of (signatures ?? "").split(" ")) {
    if (!signature.startsWith("v1,")) continue;
    const mac = Buffer.from(signature.slice("v1,".length), "base64");
    // All are compared, each in a time that says nothing of where they differ.
    for (const one of expected) if (mac.length === one.length && timingSafeEqual(mac, one)) good = true;
  }
  return good;
}

/** Asked by hooks of mode "decide"; may add `groups` and, in seconds, `max_age` to a yes. */
function decide(event: HookEvent): object {
  if (denied.has(event.data.email ?? "")) return { decision: "deny", message: "Ask the front desk." };
  return { decision: "allow" };
}

function happened(event: HookEvent): void {
  console.log(JSON.stringify(event));
}

/** Undefined for what is too long. */
async function read(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MOST_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (request, response) => {
  const answer = (status: number, body?: object) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(body === undefined ? "" : JSON.stringify(body));
  };
  try {
    if (request.method !== "POST") return answer(405);
    const body = await read(request);
    if (body === undefined) return answer(413);
    if (!verified(request.headers, body, Date.now() / 1000)) return answer(401);
    const event = JSON.parse(body.toString()) as HookEvent;
    // Delivery is at least once: what comes again has the same id.
    const id = String(request.headers["webhook-id"]);
    if (!known.has(id)) {
      known.add(id);
      const [oldest] = known;
      if (known.size > MOST_KNOWN && oldest !== undefined) known.delete(oldest);
      happened(event);
    }
    answer(200, decide(event));
  } catch (error) {
    console.error(error);
    answer(500);
  }
});

const [host = "127.0.0.1", port = "8090"] = (process.argv[2] ?? "").split(/:(?=\d+$)/).filter(Boolean);
server.listen(Number(port), host, () => {
  const address = server.address();
  console.error(`listening on ${host}:${typeof address === "object" ? address?.port : port}`);
});
