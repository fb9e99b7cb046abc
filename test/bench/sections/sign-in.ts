import { readdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAuthenticator, type SoftAuthenticator } from "../../passkeys/authenticator.ts";
import { offerSignIn, register, type Site, send } from "../../passkeys/support.ts";
import { cookieHeader } from "../../support/gateway.ts";
import { startScript } from "../contestants.ts";
import { type MailServer, startExim } from "../rivals/exim.ts";
import { DOMAIN, prepareRunegate } from "../runegate.ts";
import { type Bench, median, percentile, type Report, type Section } from "../section.ts";
import { BenchError, begin, freePort } from "../stage.ts";

/** What a person waits for: from Enter on the address to the application's first byte, mail included. */
export const signInSection: Section = {
  name: "sign-in",
  summary: "a sign-in as a person lives it, with a real mail server",
  atMostSeconds: ({ rounds }) => 60 + 5 * rounds * EACH,
  run,
};

/** Sign-ins a round. */
const EACH = 10;
const MOST_MS = { mail: 400, passkey: 150 };
const PATIENCE_MS = 10_000;

type ByMail = {
  readonly asked: number;
  readonly mail: number;
  readonly opened: number;
  readonly all: number;
};

async function run({ stage, effort, executable, say }: Bench): Promise<Report> {
  const upstream = await startScript(stage, "raw", "applications/raw.ts");
  const server = await startExim(stage);
  try {
    const email = join(stage.directory, "email.toml");
    const lines = [
      ...['smtp_host = "127.0.0.1"', `smtp_port = ${server.port}`, 'smtp_tls = "none"'],
      ...[
        'from_address = "Lab <login@lab.test>"',
        'body_template = "Open\\n{login_url}\\nor type {code}."',
        "",
      ],
    ];
    writeFileSync(email, lines.join("\n"), { mode: 0o600 });
    // A passkey is made for a name, which no IP address is.
    const port = freePort();
    const origin = `http://localhost:${port}`;
    const prepared = prepareRunegate(stage, {
      ...{ name: "compiled", command: [executable()], upstreamPort: upstream.port },
      options: {
        ...{ RUNEGATE_LISTEN: `127.0.0.1:${port}`, RUNEGATE_BASE_URL: origin },
        ...{ RUNEGATE_EMAIL_CONFIG: email, RUNEGATE_PASSKEYS: "true", RUNEGATE_RATE_LIMIT_ENABLED: "false" },
        RUNEGATE_STORE: `sqlite:${join(stage.directory, "runegate.db")}`,
      },
    });
    await begin(stage, { ...prepared, port });
    const site = { url: `http://127.0.0.1:${port}`, origin };
    const byMail: ByMail[] = [];
    const byPasskey: number[] = [];
    for (let i = 0; i < effort.rounds * EACH; i++) {
      const { session, ...times } = await signInByMail(site, server, `visitor-${i}@${DOMAIN}`);
      byMail.push(times);
      const authenticator = createAuthenticator();
      const registered = await register(site, session, authenticator);
      if (!registered.ok) throw new BenchError(`A passkey is refused: ${registered.status}.`);
      byPasskey.push(await signInByPasskey(site, authenticator));
    }
    say(
      `by mail ${median(byMail.map(({ all }) => all)).toFixed(1)} ms, by passkey ${median(byPasskey).toFixed(1)} ms`,
    );
    return reportOf(byMail, byPasskey);
  } finally {
    server.clear();
  }
}

/** A browser that nobody has used before. */
async function signInByMail(
  site: Site,
  { arrivals }: MailServer,
  email: string,
): Promise<ByMail & { readonly session: string }> {
  const page = await get(site, "/_runegate/login");
  await page.text();
  const mail = nextFile(arrivals);
  const begun = performance.now();
  const sent = await fetch(`${site.url}/_runegate/login`, {
    method: "POST",
    redirect: "manual",
    headers: { ...navigation(site), Origin: site.origin, Cookie: cookieHeader(page) },
    body: new URLSearchParams({ email }),
  });
  const cookie = cookieHeader(sent);
  await (await get(site, sent.headers.get("location") ?? "", cookie)).text();
  const asked = performance.now();
  const message = readFileSync(join(arrivals, await mail), "latin1").replaceAll(/=\r?\n/g, "");
  const arrived = performance.now();
  const link = /^http:\S+[?&]token=3D(\S+)$/m.exec(message)?.[1];
  if (link === undefined) throw new BenchError(`There is no link in the mail:\n${message}`);
  const opened = await get(site, `/_runegate/auth?token=${link.replaceAll("=3D", "=")}`, cookie);
  const session = cookieHeader(opened);
  if (opened.status !== 302 || !session.includes("runegate_id="))
    throw new BenchError(`The link is answered with ${opened.status}.`);
  await firstByte(site, opened.headers.get("location") ?? "/", session);
  const end = performance.now();
  return { asked: asked - begun, mail: arrived - asked, opened: end - arrived, all: end - begun, session };
}

/** From the button: what the browser asks, what the authenticator does, and the application. */
async function signInByPasskey(site: Site, authenticator: SoftAuthenticator): Promise<number> {
  const begun = performance.now();
  const { publicKey, ticket, cookie } = await offerSignIn(site);
  const credential = authenticator.get(publicKey, site.origin);
  const signedIn = await send(site, "/sign-in", { ticket, credential }, cookie);
  if (!signedIn.ok) throw new BenchError(`The passkey is answered with ${signedIn.status}.`);
  await firstByte(site, "/", cookieHeader(signedIn));
  return performance.now() - begun;
}

async function firstByte(site: Site, path: string, cookie: string): Promise<void> {
  const response = await get(site, path, cookie);
  if (response.status !== 200) throw new BenchError(`${path} is answered with ${response.status}.`);
  await response.body?.getReader().read();
}

function get(site: Site, path: string, cookie = ""): Promise<Response> {
  const headers = { ...navigation(site), ...(cookie === "" ? {} : { Cookie: cookie }) };
  return fetch(new URL(path, site.url).href.replace(site.origin, site.url), { redirect: "manual", headers });
}

const navigation = ({ origin }: Site) => ({
  ...{ Host: new URL(origin).host, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin" },
  ...{
    Accept: "text/html",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  },
});

/** The name of the next file that is there whole. @throws {BenchError} */
async function nextFile(directory: string): Promise<string> {
  const known = new Set(readdirSync(directory));
  const { promise, resolve } = Promise.withResolvers<string>();
  const look = () => {
    const found = readdirSync(directory).find((name) => !known.has(name));
    if (found !== undefined) resolve(found);
  };
  const watcher = watch(directory, look);
  look();
  const late = Bun.sleep(PATIENCE_MS).then(() => {
    throw new BenchError("No mail has arrived.");
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    watcher.close();
  }
}

function reportOf(byMail: readonly ByMail[], byPasskey: readonly number[]): Report {
  const parts: [string, readonly number[]][] = [
    ["from Enter to the page with the code", byMail.map(({ asked }) => asked)],
    ["until the mail is in the mailbox", byMail.map(({ mail }) => mail)],
    ["from opening the link to the application's first byte", byMail.map(({ opened }) => opened)],
    ["**all of it**", byMail.map(({ all }) => all)],
    ["by passkey, from its button to the first byte", byPasskey],
  ];
  const cells = (times: readonly number[]) => {
    const sorted = times.toSorted((a, b) => a - b);
    return [median(times), percentile(sorted, 0.95)].map((one) => one.toFixed(1));
  };
  const all = median(byMail.map((one) => one.all));
  const passkey = median(byPasskey);
  return {
    tables: [
      { columns: ["", "median ms", "p95 ms"], rows: parts.map(([name, times]) => [name, ...cells(times)]) },
    ],
    targets: [
      targetOf("a first sign-in, mail included", MOST_MS.mail, all),
      targetOf("a sign-in by passkey", MOST_MS.passkey, passkey),
    ],
    notes: [
      `${byMail.length} of each, one after another, each of another address and browser; SQLite; the mail goes through Exim's queue into a directory. The ` +
        "authenticator is software, in the process that measures.",
    ],
    figures: { byMail, byPasskey },
  };
}

function targetOf(what: string, most: number, took: number) {
  return { wanted: `${what}: under ${most} ms`, got: `${took.toFixed(1)} ms`, met: took < most };
}
