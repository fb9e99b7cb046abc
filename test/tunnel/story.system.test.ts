import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNamespace } from "../process/namespace.ts";
import { makeCertificate } from "../support/certificate.ts";
import { needs } from "../support/needs.ts";
import { type RunningProcess, runegate, startProcess } from "../support/process.ts";
import { type SmtpPeer, startSmtp } from "../support/smtp.ts";
import { HOME_ADDRESS, makeNetworks, type Networks, type Place, ROUTER_ADDRESS } from "./networks.ts";

/**
 * A server with Runegate's own TLS, an application behind a router that lets nothing in, and a visitor elsewhere. The steps build on
 * each other. With `RUNEGATE_STORY_MB`, so many go each way.
 */

setDefaultTimeout(30_000);

const NAME = "app.example.org";
const ORIGIN = `https://${NAME}`;
const ADA = "ada@example.org";
const MEGABYTES = Number(process.env.RUNEGATE_STORY_MB ?? 200);

/** As in `system/edge`: of somebody who reads each question, looks things up, and types 40 words a minute. */
const [READS_MS, KEY_MS] = [10_000, 300];
const FIVE_MINUTES_MS = 300_000;

const has = ["iptables", "nsenter", "curl", "sha256sum"].every((program) => needs(program) !== undefined);
if (has) inNamespace(import.meta.path, story);

function story(): void {
  const directory = mkdtempSync(join(tmpdir(), "runegate-story-"));
  const file = (name: string, content = "", mode = 0o600) => {
    const path = join(directory, name);
    writeFileSync(path, content, { mode });
    return path;
  };
  const running: RunningProcess[] = [];
  let networks: Networks;
  let mailServer: SmtpPeer;
  let server: RunningProcess;
  let connector: RunningProcess;
  /** What a person has typed so far, and for how long the machines were at it. */
  const typed: string[] = [];
  let machineMs = 0;

  const env = () => ({ RUNEGATE_ENV_FILE: join(directory, "runegate.env"), XDG_RUNTIME_DIR: directory });

  /** Starts a program at a place. */
  function start(place: Place, command: readonly string[]): RunningProcess {
    const started = startProcess(networks.at(place, command), env(), directory);
    running.push(started);
    return started;
  }

  /** Runs it to its end. */
  async function run(place: Place, ...command: string[]) {
    const ran = start(place, command);
    return { code: await ran.exited, output: ran.output() };
  }

  /** A command of Runegate's, as a person types it. */
  function type(place: Place, ...words: string[]): RunningProcess {
    typed.push(["runegate", ...words].join(" "));
    return start(place, runegate(...words));
  }

  async function timed<T>(work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    machineMs += performance.now() - began;
    return result;
  }

  const ca = join(directory, "authority.pem");
  const jar = join(directory, "jar");
  const head = join(directory, "head");
  /** curl as a browser comes, from the visitor's network. */
  const ask = async (path: string, ...words: string[]) => {
    const url = path.startsWith("https:") ? path : ORIGIN + path;
    const { code, output } = await run(
      "visitor",
      ...["curl", "-sS", "--cacert", ca, "--max-time", "20", "-b", jar, "-c", jar, "-D", head],
      ...["-w", "\n%{http_code}", ...words, url],
    );
    const [, body = "", status] = /^([\s\S]*)\n(\d+)$/.exec(output) ?? [];
    return { code, body, status: Number(status) };
  };

  beforeAll(async () => {
    networks = await makeNetworks(directory, NAME);
    mailServer = await startSmtp({ tls: "none", auth: false, port: 25 });
    // What is at home: the application, and something that is nobody's business.
    await start("home", runegate("target", "--listen", "127.0.0.1:7860")).waitFor(/http:/);
    await start("home", runegate("target", "--listen", `${HOME_ADDRESS}:3000`)).waitFor(/http:/);
  });

  afterAll(async () => {
    for (const one of running) one.signal("SIGKILL");
    await Promise.all(running.map(({ exited }) => exited));
    networks?.stop();
    await mailServer?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test("the server comes up with its own TLS, and nobody gets by who is not signed in", async () => {
    const certificate = makeCertificate({ names: [NAME] });
    writeFileSync(ca, certificate.cert);
    mkdirSync(join(directory, "tls"));
    file(`tls/${NAME}.crt`, certificate.cert);
    file(`tls/${NAME}.key`, certificate.key);
    // What `runegate setup` asks, and is answered.
    typed.push("runegate setup", NAME, ADA, "tunnel:home", "127.0.0.1:25", `login@${NAME}`, ADA, "y");
    file(
      "email.toml",
      `smtp_host = "127.0.0.1"\nsmtp_port = 25\nsmtp_tls = "none"\nfrom_address = "login@${NAME}"\nbody_template = "{login_url} {code}"\n`,
    );
    // Whoever has taken the server over may ask for more than was offered.
    file(
      "routes.toml",
      `[[routes]]\nname = "app"\npath = "/"\ntarget = "tunnel:home"\n` +
        `[[routes]]\nname = "more"\npath = "/more"\nstrip_path = true\ntarget = "tunnel:home/more"\n`,
    );
    file(
      "runegate.env",
      [
        "RUNEGATE_ENV=production",
        `RUNEGATE_BASE_URL=${ORIGIN}`,
        "RUNEGATE_TLS=files",
        `RUNEGATE_TLS_CERT=${directory}/tls`,
        `RUNEGATE_EMAIL_CONFIG=${directory}/email.toml`,
        `RUNEGATE_ROUTES=${directory}/routes.toml`,
        `RUNEGATE_ALLOWED_EMAILS=${ADA}`,
        `RUNEGATE_STORE=sqlite:${directory}/state.db`,
        `RUNEGATE_JWT_SECRET=${"4".repeat(64)}`,
        `RUNEGATE_SESSION_KEY=${"5".repeat(128)}`,
        `RUNEGATE_CONTROL_SOCKET=${directory}/control.sock`,
        `RUNEGATE_TUNNEL_DIRECTORY=${directory}/tunnels`,
      ].join("\n"),
    );
    await timed(async () => {
      server = start("server", runegate("serve"));
      await server.waitFor(/ listening /, 20_000);
    });
    expect((await ask("/whoami")).status).toBe(401);
  });

  test("two commands connect what is at home, from behind its router", async () => {
    await timed(async () => {
      const made = type("server", "tunnels", "create", "home");
      expect(await made.exited).toBe(0);
      // Whoever sits at home pastes it.
      const token = file("token", made.output());
      typed.push(`(umask 077; mkdir -p ~/.runegate; echo ${made.output().trim()} > ~/.runegate/home)`);
      const flags = ["--tunnel", "home", "--token-file", token, "--ca", ca, "--to", "http://127.0.0.1:7860"];
      connector = type("home", "connect", ORIGIN, ...flags);
      await connector.waitFor(/Connected: /, 20_000);
    });
  });

  test("somebody signs in by mail, from elsewhere", async () => {
    const page = ["-H", "Accept: text/html"];
    await timed(async () => {
      expect((await ask("/whoami?a=1", ...page)).status).toBe(302);
      const wanted = JSON.stringify({ email: ADA, next: "/whoami?a=1" });
      typed.push(ADA);
      expect(
        (await ask("/_runegate/login", "-H", "Content-Type: application/json", "-d", wanted)).status,
      ).toBe(200);
      while (mailServer.messages.length === 0) await Bun.sleep(20);
      const raw = mailServer.messages[0]?.raw ?? "";
      const mail = raw
        .replace(/=\r\n/g, "")
        .replace(/=([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
      const link = /https:\/\/\S+\?token=[\w.-]+/.exec(mail)?.[0] ?? "";
      expect((await ask(link, ...page)).status).toBe(302);
      const answer = await ask("/whoami");
      expect([answer.status, JSON.parse(answer.body).identity.user]).toEqual([200, ADA]);
    });
  });

  test("typed by a person, all of it takes less than five minutes", () => {
    const keys = typed.reduce((sum, line) => sum + line.length + 1, 0);
    const ofAPerson = typed.length * READS_MS + keys * KEY_MS + machineMs;
    console.log(
      `both ends: ${typed.length} lines, ${keys} keys, ${(machineMs / 1000).toFixed(1)} s of the machines', ` +
        `${Math.round(ofAPerson / 1000)} s in all at 10 s a line and 0.3 s a key`,
    );
    expect(typed.length).toBeGreaterThan(8);
    expect(ofAPerson).toBeLessThan(FIVE_MINUTES_MS);
  });

  test("events come as they are sent, and a WebSocket answers", async () => {
    const events = start("visitor", ["curl", "-sSN", "--cacert", ca, "-b", jar, `${ORIGIN}/events`]);
    await events.waitFor(/event: tick[\s\S]*event: tick/);
    events.signal("SIGTERM");
    const session = /\t(\S*runegate_id)\t(\S+)$/m.exec(await Bun.file(jar).text());
    const script = `
      const [url, origin, cookie, ca] = process.argv.slice(1);
      const socket = new WebSocket(url, { headers: { Origin: origin, Cookie: cookie }, tls: { ca } });
      socket.onopen = () => socket.send("there and back");
      socket.onmessage = ({ data }) => { console.log(data); socket.close(); };`;
    const echoed = await run(
      "visitor",
      ...[process.execPath, "-e", script, `wss://${NAME}/ws/echo`, ORIGIN],
      ...[`${session?.[1]}=${session?.[2]}`, await Bun.file(ca).text()],
    );
    expect(echoed.output).toContain("there and back");
  });

  test(`${MEGABYTES} MB come down, and go up, byte for byte`, async () => {
    const bytes = MEGABYTES * 2 ** 20;
    const began = performance.now();
    const down = await run(
      "visitor",
      ...["sh", "-c", 'curl -sS --cacert "$0" -b "$1" "$2" | sha256sum', ca, jar],
      `${ORIGIN}/download?size=${MEGABYTES}MB`,
    );
    const downMs = performance.now() - began;
    expect(down.output.slice(0, 64)).toBe(await sumOf(`http://127.0.0.1:7860/download?size=${MEGABYTES}MB`));
    const body = join(directory, "body");
    // A file of nothing but a hole.
    expect((await run("visitor", "truncate", "-s", String(bytes), body)).code).toBe(0);
    const begun = performance.now();
    const up = await ask("/upload", "-T", body, "-H", "Expect:", "--max-time", "120");
    const upMs = performance.now() - begun;
    const hasher = new Bun.CryptoHasher("sha256");
    for (let megabyte = 0; megabyte < MEGABYTES; megabyte++) hasher.update(new Uint8Array(2 ** 20));
    expect(JSON.parse(up.body)).toMatchObject({ bytes, sha256: hasher.digest("hex") });
    const speed = (ms: number) => `${(bytes / 1e3 / ms).toFixed(0)} MB/s`;
    console.log(`${MEGABYTES} MiB: down ${speed(downMs)}, up ${speed(upMs)}`);
  }, 240_000);

  /** Of what the application sends to its own machine. */
  async function sumOf(url: string): Promise<string> {
    const { output } = await run("home", "sh", "-c", 'curl -sS "$0" | sha256sum', url);
    return output.slice(0, 64);
  }

  test("nothing else at home can be reached, by the network or by the tunnel", async () => {
    const knock = (place: Place, url: string) =>
      run(place, "curl", "-sS", "--connect-timeout", "1", "--max-time", "3", "-o", "/dev/null", url);
    // It is there, for those at home.
    expect((await knock("router", `http://${HOME_ADDRESS}:3000/`)).code).toBe(0);
    const fromServer = [`${HOME_ADDRESS}:3000`, `${ROUTER_ADDRESS}:3000`, `${ROUTER_ADDRESS}:7860`];
    const codes = await Promise.all(
      fromServer.map(async (address) => (await knock("server", `http://${address}/`)).code),
    );
    // Time-outs: the router does not even answer.
    expect(codes).toEqual([28, 28, 28]);
    // What the server asks for and was not offered is refused at home…
    expect((await ask("/more/whoami")).status).toBe(502);
    expect((await ask("/whoami")).status).toBe(200);
    // …and it is the offer that decides.
    connector.signal("SIGTERM");
    expect(await connector.exited).toBe(0);
    const to = ["--to", "http://127.0.0.1:7860", "--to", `more=http://${HOME_ADDRESS}:3000`];
    const flags = ["--tunnel", "home", "--token-file", join(directory, "token"), "--ca", ca, ...to];
    await start("home", runegate("connect", ORIGIN, ...flags)).waitFor(/Connected: /);
    expect((await ask("/more/whoami")).status).toBe(200);
    expect(server.output()).not.toMatch(/ ERROR /);
  });
}
