import { randomBytes } from "node:crypto";
import { startProcess } from "../../support/process.ts";
import { inGo, installGo } from "./install.ts";
import type { Party, RunningParty } from "./party.ts";
import { discover, newSecret } from "./programs.ts";
import { ready } from "./ready.ts";

/** oauth2-proxy, in front of a page of its own, with PKCE and groups; its sessions are in its cookie. */
export const oauth2Proxy: Party = {
  name: "oauth2-proxy",
  does: { groups: true, code: "pkce", issuer: false, refresh: false, logout: "rp", ends: "asks" },
  client: (origin) => ({
    secret: newSecret(),
    redirectUris: [`${origin}/oauth2/callback`],
    postLogoutRedirectUris: [`${origin}/oauth2/sign_in`],
  }),
  async start({ port, origin, issuer, client, directory }) {
    installGo();
    const running = startProcess(
      [
        inGo("oauth2-proxy"),
        ...[`--http-address=127.0.0.1:${port}`, "--upstream=static://200", "--email-domain=*"],
        ...["--provider=oidc", `--oidc-issuer-url=${issuer}`, `--redirect-url=${origin}/oauth2/callback`],
        ...[`--client-id=${client.id}`, `--client-secret=${client.secret}`],
        ...[
          "--scope=openid email profile groups",
          "--code-challenge-method=S256",
          "--insecure-oidc-skip-nonce=false",
          "--allowed-group=staff",
        ],
        ...[`--cookie-secret=${randomBytes(16).toString("hex")}`, "--cookie-secure=false"],
        // From then on, each request after the time asks for new tokens.
        ...["--cookie-refresh=1s", "--skip-provider-button=true"],
        // It refuses to redirect elsewhere after signing out but to what is named.
        `--whitelist-domain=${new URL(issuer).host}`,
      ],
      { HOME: directory },
      directory,
    );
    await ready(`${origin}/ping`, running);
    return {
      process: running,
      enter: (person) => person.open(`${origin}/oauth2/start?rd=%2F`),
      async who(person) {
        const response = await person.ask(`${origin}/oauth2/userinfo`);
        if (!response.ok) return undefined;
        return (await response.json()) as { email: string; groups: string[] };
      },
      leave: async (person) => {
        const out = new URL(`${(await discover(issuer)).end_session_endpoint}`);
        out.searchParams.set("client_id", client.id);
        out.searchParams.set("post_logout_redirect_uri", `${origin}/oauth2/sign_in`);
        return person.open(`${origin}/oauth2/sign_out?${new URLSearchParams({ rd: out.href })}`);
      },
    } satisfies RunningParty;
  },
};
