import { randomBytes } from "node:crypto";
import { freePort, startProcess } from "../../support/process.ts";
import { inNode, installNode, installPython, inVenv } from "./install.ts";
import type { Party, Who } from "./party.ts";
import { newSecret, program, surroundings } from "./programs.ts";
import { ready } from "./ready.ts";

/** JupyterHub with oauthenticator's GenericOAuthenticator. Nobody starts a notebook here. */
export const jupyterHub: Party = {
  name: "JupyterHub with oauthenticator",
  does: { groups: true, code: "pkce", issuer: false, refresh: false, logout: "rp", ends: "asks" },
  client: (origin) => ({ secret: newSecret(), redirectUris: [`${origin}/hub/oauth_callback`] }),
  async start(place) {
    installPython();
    installNode();
    const { origin, directory } = place;
    const running = startProcess(
      [inVenv("jupyterhub"), "--config", program("jupyterhub.py")],
      {
        ...surroundings(place),
        HUB_PORT: String(freePort()),
        PROXY_PORT: String(freePort()),
        PROXY: inNode(".bin/configurable-http-proxy"),
        JUPYTERHUB_CRYPT_KEY: randomBytes(32).toString("hex"),
      },
      directory,
    );
    await ready(`${origin}/hub/health`, running);
    await running.waitFor(/JupyterHub is now running/, 60_000);
    return {
      process: running,
      enter: (person) => person.open(`${origin}/hub/oauth_login?next=%2Fhub%2Ftoken`),
      async who(person) {
        const page = await person.open(`${origin}/hub/token`);
        if (page.url !== `${origin}/hub/token` || page.status !== 200) return undefined;
        const response = await person.ask(`${origin}/hub/api/user`, {
          headers: { Referer: `${origin}/hub/` },
        });
        if (!response.ok) return undefined;
        const { name, groups } = (await response.json()) as { name: string; groups: string[] };
        return { email: name, groups } satisfies Who;
      },
      leave: (person) => person.open(`${origin}/hub/logout`),
    };
  },
};
