import { readFileSync } from "node:fs";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { startLoad } from "../process/load.ts";
import { startPebble } from "../support/pebble.ts";
import { startSmtp } from "../support/smtp.ts";
import type { FromOutside, ToOutside } from "./messages.ts";

/**
 * The world around the machine, as a process of its own in the machine's network: a mail server, and visitors. Its arguments are
 * the domain and the certificate to trust; the mail server then takes everything. With Pebble's folder as a third one there is an
 * authority too, which is what is trusted; nobody is taken to be in front, and mail takes a login.
 */

const [domain = "", certificate = "", programs] = process.argv.slice(2);
const pebble = programs === undefined ? undefined : await startPebble(programs, { httpPort: 80 });
const ca = (await pebble?.root()) ?? readFileSync(certificate, "utf8");

const MAIL_PORT = 25;
const GATEWAY_PORT = 7870;
/** A page that only who has a session gets. */
const PATH = "/healthz";

function say(message: FromOutside): void {
  process.send?.(message);
}

const mailServer = await startSmtp({ tls: "none", auth: pebble !== undefined, port: MAIL_PORT });
let told = 0;
setInterval(() => {
  for (const { to, raw } of mailServer.messages.slice(told)) say({ kind: "mail", to, raw });
  told = mailServer.messages.length;
}, 20);

type Visitors = {
  /** Resolves when some more have been answered in each way, or when that does not come about. */
  seen(): Promise<void>;
  /** @returns every request that was refused, cut off, or answered with anything but 200. */
  leave(): Promise<string[]>;
};

type Way = { readonly answered: number; readonly errors: readonly string[]; stop(): Promise<unknown> };

const SOME = 15;
const PATIENCE_MS = 10_000;

/** Requests to Runegate itself and through nginx, on connections of their own and on kept ones. */
function visit(cookie: string): Visitors {
  const port = { port: GATEWAY_PORT, path: PATH, cookie };
  const plain = (connections: "fresh" | "kept") =>
    startLoad({ ...port, connections, perSecond: 80, parallel: 4 });
  const ways: readonly (readonly [name: string, load: Way])[] = [
    ["https", visitByTls(cookie)],
    ...(pebble === undefined
      ? ([
          ["fresh connection", plain("fresh")],
          ["kept connection", plain("kept")],
        ] as const)
      : []),
  ];
  const failures: string[] = [];
  return {
    async seen() {
      const until = Date.now() + PATIENCE_MS;
      const goals = ways.map(([name, load]) => ({ name, load, goal: load.answered + SOME }));
      for (const { name, load, goal } of goals) {
        while (load.answered < goal && Date.now() < until) await Bun.sleep(10);
        if (load.answered < goal) failures.push(`${name}: not answered in ${PATIENCE_MS} ms`);
      }
    },
    async leave() {
      await Promise.all(ways.map(([, load]) => load.stop()));
      return [
        ...failures,
        ...ways.flatMap(([name, load]) => load.errors.map((error) => `${name}: ${error}`)),
      ];
    },
  };
}

function visitByTls(cookie: string): Way {
  const errors: string[] = [];
  let answered = 0;
  let running = true;
  const visitor = async () => {
    while (running) {
      await Bun.sleep(25);
      try {
        const response = await fetch(`https://127.0.0.1${PATH}`, {
          headers: { Host: domain, Cookie: cookie },
          keepalive: false,
          redirect: "manual",
          tls: {
            ca,
            checkServerIdentity: (_address: string, shown: PeerCertificate) =>
              checkServerIdentity(domain, shown),
          },
        });
        await response.arrayBuffer();
        if (response.status === 200) answered++;
        else errors.push(`status ${response.status}`);
      } catch (error) {
        errors.push(String(error));
      }
    }
  };
  const visitors = Promise.all([visitor(), visitor()]);
  return {
    get answered() {
      return answered;
    },
    errors,
    async stop() {
      running = false;
      await visitors;
    },
  };
}

/** Says something through a WebSocket to the application's echo, and hears it back. */
function echo(cookie: string, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = new WebSocket("wss://127.0.0.1/ws/echo", {
    headers: { Host: domain, Origin: `https://${domain}`, Cookie: cookie },
    tls: { ca },
  });
  socket.onopen = () => socket.send(text);
  socket.onmessage = ({ data }) => {
    resolve(String(data));
    socket.close();
  };
  socket.onerror = (event) => reject(new Error("message" in event ? String(event.message) : "no WebSocket"));
  socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  return promise;
}

let visitors: Visitors | undefined;

process.on("message", async (message: ToOutside) => {
  switch (message.kind) {
    case "visit":
      visitors = visit(message.cookie);
      await visitors.seen();
      say({ kind: "visiting" });
      return;
    case "leave": {
      const leaving = visitors;
      visitors = undefined;
      if (leaving === undefined) return;
      await leaving.seen();
      say({ kind: "left", failures: await leaving.leave() });
      return;
    }
    case "echo":
      say({
        kind: "echoed",
        text: await echo(message.cookie, message.text).catch((error: Error) => error.message),
      });
      return;
  }
});

async function leave(): Promise<never> {
  await pebble?.[Symbol.asyncDispose]();
  process.exit();
}
process.on("disconnect", leave);
process.on("SIGTERM", leave);
say({
  kind: "up",
  ...(pebble && {
    authority: { directory: pebble.directory, server: readFileSync(pebble.ca, "utf8"), root: ca },
  }),
});
