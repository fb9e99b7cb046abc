import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A machine for the installation scripts that is a folder: they work below `DESTDIR`, and what they would call of the
 * system (systemctl, useradd, chown, …) is found first on `PATH` and only writes down that it was called.
 */

const repository = join(import.meta.dir, "../..");
export const deploy = join(repository, "deploy");

export type Machine = {
  readonly root: string;
  /** Calls of the system's programs since the last look, one a line. */
  calls(): string[];
  /** Runs a script of `deploy/`. */
  run(script: string, ...args: string[]): Promise<Ended>;
  /** Runs a line of shell in the folder that holds `deploy`. */
  type(line: string): Promise<Ended>;
  path(name: string): string;
  read(name: string): string;
  write(name: string, content: string): void;
  exists(name: string): boolean;
  mode(name: string): string;
  /** An executable. `marks` say how it behaves. */
  binary(name: string, ...marks: Mark[]): string;
  /** Every path with its type, mode and content. */
  tree(): Record<string, string>;
  service(): "active" | "inactive" | "failed";
  /** The unit by which systemd was asked to run something once, if it was. */
  trial(): string;
  /** Fills in what an installation asks for, before or after it. */
  configure(): void;
  set(what: Setting, value: string): void;
  /** Another machine on which everything is as on this one; it runs what is installed. */
  copy(): Machine;
} & Disposable;

export type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

/**
 * `real`: Runegate itself, from source; the others answer by themselves, which is quicker. `no-version`: does not run here.
 * `no-start`: does not become active. `check-fails`: wants another configuration. `no-connection`: its connector finds no server.
 */
export type Mark = "real" | "no-version" | "no-start" | "check-fails" | "no-connection";

/**
 * `uid`: who runs the script. `systemd`: its version. `nginx`: what its test says. `accounts`: those there are, as getent
 * shows them, with `passwd` or `group` before them. `begins`: whether a unit can be started that is to run once. `reload`: `interrupted`, the script by
 * somebody while the service goes over to the new version.
 */
export type Setting = "uid" | "systemd" | "nginx" | "accounts" | "begins" | "reload";

const RUNEGATE = (marks: readonly Mark[], name: string) => `#!/bin/sh
# ${name} ${marks.join(" ")}
case "$1" in
  version) ${marks.includes("no-version") ? "exit 126" : `echo "runegate ${name}"; exit`} ;;
  connect) ${marks.includes("no-connection") ? "echo 'Not connected to https://app.example.org: no answer.'; exit 1" : "echo Connected.; exit"} ;;
  check) ${marks.includes("check-fails") ? "echo 'error: something new is missing'; exit 78" : ""} ;;
esac
${marks.includes("real") ? `exec ${process.execPath} ${join(repository, "src/main.ts")} "$@"` : QUICK}
`;

const QUICK = `case "$1" in
  secrets) shift; exec ${join(deploy, "generate_secrets.sh")} "$@" ;;
  check)
    if grep -q 'change me' "$RUNEGATE_EMAIL_CONFIG"; then echo "error: smtp_pass is still the example's"; exit 78; fi
    echo "The configuration is good." ;;
esac`;

/** Each is a shell script; `$STATE` is a folder of small files. */
const PROGRAMS: Readonly<Record<string, string>> = {
  id: 'cat "$STATE/uid"',
  chown: 'note chown "$@"',
  // Where fsync takes long, the suite would.
  sync: "exit 0",
  sysctl: 'note sysctl "$@"',
  getent: 'grep "^$1 $2:" "$STATE/accounts" | cut -d " " -f 2- | grep .',
  groupadd: 'note groupadd "$@"; for name; do :; done; echo "group $name:x:999:" >>"$STATE/accounts"',
  useradd: `note useradd "$@"; for name; do :; done
    echo "passwd $name:x:999:999:Runegate:/var/lib/runegate:/usr/sbin/nologin" >>"$STATE/accounts"`,
  userdel: 'note userdel "$@"; : >"$STATE/accounts"',
  groupdel: 'note groupdel "$@"; : >"$STATE/accounts"',
  runuser: 'note runuser "$1" "$2"; shift 3; exec "$@"',
  nginx: 'note nginx "$@"; exit "$(cat "$STATE/nginx")"',
  // The main process's executable is whatever was on disk when it started.
  stat: 'case "$*" in */proc/*) cat "$STATE/running" ;; *) exec /usr/bin/stat "$@" ;; esac',
  systemctl: `
    executable=$DESTDIR/opt/runegate/bin/runegate
    run() { /usr/bin/stat -c %d:%i "$executable" >"$STATE/running"; echo active >"$STATE/service"; }
    trial=$DESTDIR/run/systemd/system/runegate-check.service
    case "$*" in
      start*check*)
        cp "$trial" "$STATE/trial"
        if [ "$(cat "$STATE/begins")" = no ]; then echo 0 >"$STATE/status"; exit 1; fi
        env -i $(sed -n "s/^Environment=//p" "$trial") $(sed -n "s/^ExecStart=//p" "$trial") \\
          >"$(sed -n "s/^StandardOutput=file://p" "$trial")"
        code=$?; echo $code >"$STATE/status"; exit $code ;;
      show*ExecMainStatus*) cat "$STATE/status" ;;
      --version) echo "systemd $(cat "$STATE/systemd") (12)" ;;
      *is-active*nginx) exit 0 ;;
      *is-active*)
        cat "$STATE/service"; grep -qx active "$STATE/service"; code=$?
        # A reload is over at the next look.
        sed -i s/reloading/active/ "$STATE/service"; exit $code ;;
      show*MainPID*) echo 4711 ;;
      show*) echo up ;;
      *) note systemctl "$@" ;;
    esac
    case "$*" in
      restart*) if grep -q no-start "$executable"; then echo failed >"$STATE/service"; exit 1; else run; fi ;;
      reload\\ runegate)
        grep -q no-start "$executable" || run
        if [ "$(cat "$STATE/reload")" = interrupted ]; then echo reloading >"$STATE/service"; kill "$PPID"; fi ;;
      disable*|stop*) echo inactive >"$STATE/service" ;;
    esac`,
};

const FOLDERS = [
  "opt",
  "etc/systemd/system",
  "etc/sysctl.d",
  "etc/nginx/sites-available",
  "etc/nginx/sites-enabled",
  "etc/letsencrypt/live/app.example.org",
  "usr/local/bin",
  "var/lib",
  "run/systemd/system",
];

export function installationMachine(): Machine {
  const folder = mkdtempSync(join(tmpdir(), "runegate-machine-"));
  const [root, bin, state] = [join(folder, "root"), join(folder, "bin"), join(folder, "state")];
  for (const path of [bin, state, ...FOLDERS.map((name) => join(root, name))])
    mkdirSync(path, { recursive: true });
  for (const name of ["fullchain.pem", "privkey.pem"])
    writeFileSync(join(root, "etc/letsencrypt/live/app.example.org", name), "");
  for (const [name, value] of Object.entries({
    uid: "0",
    systemd: "252",
    nginx: "0",
    service: "inactive",
    accounts: "",
    begins: "yes",
    reload: "",
    calls: "",
  }))
    writeFileSync(join(state, name), `${value}\n`);
  for (const [name, text] of Object.entries(PROGRAMS)) {
    // Not by the environment: the scripts give some programs none of it.
    const note = `STATE=${state}\nnote() { echo "$*" >>"$STATE/calls"; }`;
    writeFileSync(join(bin, name), `#!/bin/sh\n${note}\n${text}\n`, { mode: 0o755 });
  }
  const path = (name: string) => join(root, name);
  function fill(name: string, example: string, values: readonly (readonly [string, string])[]): void {
    const text = readFileSync(machine.exists(name) ? path(name) : join(deploy, example), "utf8");
    machine.write(
      name,
      values.reduce((filled, [from, to]) => filled.replace(from, to), text),
    );
  }
  async function start(command: readonly string[], cwd: string): Promise<Ended> {
    // The caller's umask is not to matter.
    const child = Bun.spawn(["sh", "-c", 'umask 0; exec "$@"', "sh", ...command], {
      cwd,
      env: { PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`, DESTDIR: root },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return {
      code: await child.exited,
      stdout: stdout.replaceAll(root, ""),
      stderr: stderr.replaceAll(root, ""),
    };
  }
  const machine: Machine = {
    root,
    path,
    read: (name) => readFileSync(path(name), "utf8"),
    write: (name, content) => writeFileSync(path(name), content),
    exists: (name) => lstatSync(path(name), { throwIfNoEntry: false }) !== undefined,
    mode: (name) => (lstatSync(path(name)).mode & 0o7777).toString(8).padStart(4, "0"),
    service: () => readFileSync(join(state, "service"), "utf8").trim() as "active",
    trial: () => readFileSync(join(state, "trial"), "utf8"),
    set: (what, value) => writeFileSync(join(state, what), `${value}\n`),
    calls() {
      const lines = readFileSync(join(state, "calls"), "utf8").split("\n").filter(Boolean);
      writeFileSync(join(state, "calls"), "");
      return lines.map((line) => line.replaceAll(root, ""));
    },
    run: (script, ...args) => start([join(deploy, script), ...args], folder),
    type: (line) => start(["bash", "-c", line], repository),
    binary(name, ...marks) {
      const file = join(folder, name);
      writeFileSync(file, RUNEGATE(marks, name));
      chmodSync(file, 0o755);
      return file;
    },
    configure() {
      mkdirSync(path("etc/runegate/config"), { recursive: true });
      fill("etc/runegate/runegate.env", "runegate.env.example", [
        ["RUNEGATE_BASE_URL=\n", "RUNEGATE_BASE_URL=https://app.example.org\n"],
        ["RUNEGATE_ALLOWED_EMAILS=\n", "RUNEGATE_ALLOWED_EMAILS=ada@example.org\n"],
      ]);
      fill("etc/runegate/config/email.toml", "config/email.toml.example", [
        ["smtp.example.org", "mail.example.net"],
        ["login@example.org", "login@example.net"],
        ["change me", "a password"],
        ["<login@example.org>", "<login@example.net>"],
      ]);
    },
    copy() {
      const other = installationMachine();
      const otherState = join(other.root, "../state");
      for (const [from, to] of [
        [root, other.root],
        [state, otherState],
      ] as const)
        Bun.spawnSync(["cp", "-a", `${from}/.`, to]);
      // The one here is another file than there.
      const { dev, ino } = statSync(other.path("opt/runegate/bin/runegate"));
      writeFileSync(join(otherState, "running"), `${dev}:${ino}\n`);
      return other;
    },
    tree: () => treeOf(root),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
  return machine;
}

function treeOf(folder: string, below = ""): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const name of readdirSync(join(folder, below))) {
    const path = join(below, name);
    const full = join(folder, path);
    const status = lstatSync(full);
    const mode = (status.mode & 0o7777).toString(8);
    if (status.isSymbolicLink()) tree[path] = `-> ${readlinkSync(full)}`;
    else if (status.isDirectory()) Object.assign(tree, { [path]: `folder ${mode}` }, treeOf(folder, path));
    else tree[path] = `${mode} ${Bun.hash(readFileSync(full)).toString(36)}`;
  }
  return tree;
}
