import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProcess } from "../../support/process.ts";
import { giteaSource, inGo, installGitea } from "./install.ts";
import type { Party } from "./party.ts";
import { newSecret } from "./programs.ts";
import { ready } from "./ready.ts";

/** Gitea, built from its Go module, which comes without the scripts and styles of its pages. */
export const gitea: Party = {
  name: "Gitea",
  does: {
    groups: false,
    code: "free",
    issuer: false,
    names: "short",
    refresh: false,
    logout: "rp",
    ends: "never",
  },
  client: (origin) => ({
    secret: newSecret(),
    redirectUris: [`${origin}/user/oauth2/runegate/callback`],
    postLogoutRedirectUris: [`${origin}/`],
  }),
  async start({ port, origin, issuer, client, directory }) {
    installGitea();
    const work = join(directory, "gitea");
    mkdirSync(work);
    const file = join(work, "app.ini");
    writeFileSync(
      file,
      `
      RUN_USER = ${process.env.USER ?? "root"}
      I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
      WORK_PATH = ${work}
      [server]
      HTTP_ADDR = 127.0.0.1
      HTTP_PORT = ${port}
      ROOT_URL = ${origin}/
      STATIC_ROOT_PATH = ${giteaSource()}
      OFFLINE_MODE = true
      DISABLE_SSH = true
      [database]
      DB_TYPE = sqlite3
      PATH = ${work}/gitea.db
      [security]
      INSTALL_LOCK = true
      SECRET_KEY = ${newSecret()}
      [service]
      ALLOW_ONLY_EXTERNAL_REGISTRATION = true
      [oauth2_client]
      ENABLE_AUTO_REGISTRATION = true
      USERNAME = email
      [log]
      MODE = console
      LEVEL = info`.replace(/^ +/gm, ""),
    );
    const at = [inGo("gitea"), "--config", file];
    const env = { HOME: directory, GIT_CONFIG_GLOBAL: join(work, "gitconfig") };
    for (const command of [
      ["migrate"],
      [
        ...["admin", "auth", "add-oauth", "--name", "runegate", "--provider", "openidConnect"],
        ...["--key", client.id, "--secret", client.secret ?? ""],
        ...["--auto-discover-url", `${issuer}/.well-known/openid-configuration`],
        ...["--scopes", "email", "--scopes", "profile", "--scopes", "groups"],
        ...["--required-claim-name", "groups", "--required-claim-value", "staff", "--skip-local-2fa"],
      ],
    ]) {
      const done = startProcess([...at, ...command], env, work);
      if ((await done.exited) !== 0) throw new Error(done.output());
    }
    const running = startProcess([...at, "web"], env, work);
    await ready(`${origin}/api/healthz`, running);
    return {
      process: running,
      enter: (person) => person.open(`${origin}/user/oauth2/runegate`),
      async who(person) {
        const response = await person.ask(`${origin}/user/settings/account`);
        const [email] = /[\w.]+@example\.org/.exec(await response.text()) ?? [];
        return response.ok && email !== undefined ? { email } : undefined;
      },
      leave: (person) => person.open(`${origin}/user/logout`),
    };
  },
};
