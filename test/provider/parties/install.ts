import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where the parties are, and are installed if they are not there: `RUNEGATE_TEST_PARTIES`. */
const ROOT = process.env.RUNEGATE_TEST_PARTIES ?? join(tmpdir(), "runegate-parties");

export const inVenv = (name: string) => join(ROOT, "venv/bin", name);
export const inNode = (name: string) => join(ROOT, "node/node_modules", name);
export const inGo = (name: string) => join(ROOT, "bin", name);
/** Where a script of ours finds what npm installed. */
export const nodePath = { NODE_PATH: inNode("") };

const PYTHON = [
  ...["flask", "authlib", "requests", "django", "mozilla-django-oidc", "django-allauth[socialaccount]"],
  ...["jupyterhub", "oauthenticator", "streamlit", "httpx", "itsdangerous"],
];
const NODE = [
  ...["configurable-http-proxy", "node-red", "passport-openidconnect", "express", "express-openid-connect"],
];

function run(command: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { env: { ...process.env, ...env } });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** @throws with what the installer said. */
export function installPython(): void {
  if (existsSync(inVenv("jupyterhub"))) return;
  mkdirSync(ROOT, { recursive: true });
  run(["python3", "-m", "venv", join(ROOT, "venv")]);
  run([inVenv("pip"), "install", "--quiet", ...PYTHON]);
}

/** @throws with what the installer said. */
export function installNode(): void {
  if (existsSync(inNode("node-red"))) return;
  mkdirSync(join(ROOT, "node"), { recursive: true });
  run(["npm", "install", "--prefix", join(ROOT, "node"), "--no-audit", "--no-fund", ...NODE]);
}

/** @throws with what the compiler said. */
export function installGo(): void {
  if (existsSync(inGo("oauth2-proxy"))) return;
  run(["go", "install", "github.com/oauth2-proxy/oauth2-proxy/v7@latest"], { GOBIN: join(ROOT, "bin") });
}

/** Debian's. It is not started as a service: nothing here has a service manager. */
export function installApache(): void {
  if (existsSync("/usr/lib/apache2/modules/mod_auth_openidc.so")) return;
  run(["apt-get", "install", "-y", "--no-install-recommends", "apache2", "libapache2-mod-auth-openidc"]);
}

/** The newest version whose modules the module proxy all has: later ones need `gitea.dev/actions-proto-go`, which it refuses. */
const GITEA = "code.gitea.io/gitea@v1.26.0";

/** Where its templates are. */
export const giteaSource = () => join(ROOT, "gitea/src");

/** @throws with what the compiler said. */
export function installGitea(): void {
  if (existsSync(inGo("gitea"))) return;
  const { stdout } = Bun.spawnSync(["go", "mod", "download", "-json", GITEA]);
  const { Dir } = JSON.parse(stdout.toString()) as { readonly Dir: string };
  mkdirSync(join(ROOT, "gitea"), { recursive: true });
  run(["cp", "-r", "--no-preserve=mode", Dir, giteaSource()]);
  run(["go", "build", "-C", giteaSource(), "-tags", "sqlite sqlite_unlock_notify", "-o", inGo("gitea"), "."]);
}
