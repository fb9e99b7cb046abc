import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runegate } from "../support/process.ts";
import { MAIL_PORT } from "./mail.ts";
import { RULES } from "./model.ts";
import { type Front, OUTSIDE } from "./network.ts";

/** A gateway of two workers on a machine of its own, which is killed and started again. */
export type Gateway = {
  readonly number: number;
  readonly front: Front;
  /** `http://address:port`, as the edge in front of it reaches it. */
  readonly url: string;
  start(): Promise<void>;
  /** `kill -9` of all its processes at once. */
  kill(): Promise<void>;
  /** `kill -9` of one of its workers. */
  killWorker(which: number): void;
};

export const ORIGIN = "https://app.test";
export const ALLOWED = "example.org";
export const ADMINISTRATOR = `admin@${ALLOWED}`;
export const APPLICATION_PORT = 7860;
const PORT = 7870;
const START_MS = 60_000;

export type GatewaySettings = {
  readonly directory: string;
  readonly store: string;
  readonly secrets: { readonly jwt: string; readonly session: string };
  /** File of the authority that the mail server's certificate is from. */
  readonly authority: string;
};

export function createGateway(number: number, front: Front, settings: GatewaySettings): Gateway {
  const { directory, store, secrets, authority } = settings;
  const email = join(directory, "email.toml");
  writeFileSync(
    email,
    `smtp_host = "${OUTSIDE}"\nsmtp_port = ${MAIL_PORT}\nfrom_address = "gate@${ALLOWED}"\n` +
      'subject = "Sign in"\nbody_template = """\n{login_url}\n\n    {code}\n"""\n',
  );
  const seconds = (ms: number) => String(ms / 1000);
  const options = {
    RUNEGATE_ENV: "production",
    RUNEGATE_LISTEN: `${front.visited}:${PORT}`,
    RUNEGATE_BASE_URL: ORIGIN,
    RUNEGATE_TARGET_SERVICE: `http://${OUTSIDE}:${APPLICATION_PORT}`,
    RUNEGATE_JWT_SECRET: secrets.jwt,
    RUNEGATE_SESSION_KEY: secrets.session,
    RUNEGATE_ALLOWED_DOMAINS: ALLOWED,
    RUNEGATE_ADMINS: ADMINISTRATOR,
    RUNEGATE_DYNAMIC_USERS: "true",
    RUNEGATE_API_KEYS: "true",
    RUNEGATE_TRUSTED_PROXIES: `${OUTSIDE}/32`,
    RUNEGATE_EMAIL_CONFIG: email,
    RUNEGATE_STORE: store,
    RUNEGATE_WORKERS: "2",
    RUNEGATE_SESSION_TTL: seconds(RULES.sessionTtl),
    RUNEGATE_SESSION_IDLE: seconds(RULES.sessionIdle),
    RUNEGATE_MAGIC_LINK_EXPIRY: seconds(RULES.linkLife / 60),
    RUNEGATE_EMAIL_COOLDOWN: seconds(RULES.cooldown),
    RUNEGATE_LOGIN_RATE_LIMIT: String(RULES.loginsPerWindow),
    RUNEGATE_TOKEN_RATE_LIMIT: String(RULES.attemptsPerWindow),
    // More people sign in here than anywhere in an hour.
    RUNEGATE_MAIL_CEILING: "0",
    RUNEGATE_LOG_FORMAT: "json",
    RUNEGATE_CONTROL_SOCKET: join(directory, `g${number}.sock`),
  };
  const file = join(directory, `g${number}.env`);
  const lines = Object.entries(options).map(([option, value]) => `${option}=${value}\n`);
  writeFileSync(file, lines.join(""), { mode: 0o600 });
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("RUNEGATE_"));
  const env = {
    ...Object.fromEntries(inherited),
    RUNEGATE_ENV_FILE: file,
    NODE_EXTRA_CA_CERTS: authority,
  };
  const url = `http://${front.visited}:${PORT}`;
  const log = join(directory, `g${number}.log`);
  let child: Bun.Subprocess | undefined;

  /** Of the process that watches over them. */
  function workers(): number[] {
    const pid = child?.pid ?? 0;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .trim()
      .split(" ")
      .filter(Boolean)
      .map(Number);
  }

  return {
    number,
    front,
    url,
    async start() {
      const output = openSync(log, "a");
      child = Bun.spawn([...front.enter, ...runegate("serve")], {
        ...{ cwd: directory, env, stdin: "ignore", stdout: output, stderr: output },
      });
      const giveUpAt = performance.now() + START_MS;
      for (;;) {
        const ready = await fetch(`${url}/_runegate/health/ready`, { keepalive: false }).catch(
          () => undefined,
        );
        if (ready?.status === 200) return;
        if (child.exitCode !== null || performance.now() > giveUpAt)
          throw new Error(`gateway ${number} does not start:\n${readFileSync(log, "utf8").slice(-3000)}`);
        await Bun.sleep(50);
      }
    },
    async kill() {
      const all = [child?.pid ?? 0, ...workers()];
      for (const pid of all) process.kill(pid, "SIGKILL");
      await child?.exited;
    },
    killWorker(which) {
      const all = workers();
      const pid = all[which % all.length];
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    },
  };
}
