import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProcess } from "../../support/process.ts";
import { installApache } from "./install.ts";
import type { Party } from "./party.ts";
import { newSecret } from "./programs.ts";
import { ready } from "./ready.ts";

/** Apache with mod_auth_openidc, which keeps its sessions on the server and hears of logouts. */
export const apache: Party = {
  name: "Apache with mod_auth_openidc",
  does: { groups: true, code: "pkce", issuer: true, refresh: true, logout: "rp", ends: "backchannel" },
  client: (origin) => ({
    secret: newSecret(),
    redirectUris: [`${origin}/oidc`],
    postLogoutRedirectUris: [`${origin}/bye`],
    backchannelLogoutUri: `${origin}/oidc?logout=backchannel`,
  }),
  async start({ port, origin, issuer, client, directory }) {
    installApache();
    mkdirSync(join(directory, "www/staff"), { recursive: true });
    writeFileSync(join(directory, "www/staff/index.html"), "for staff");
    writeFileSync(join(directory, "www/bye"), "bye");
    // Its children are nobody.
    mkdirSync(join(directory, "cache"));
    chmodSync(join(directory, "cache"), 0o777);
    chmodSync(directory, 0o755);
    const modules = [...["mpm_event", "authn_core", "authz_core", "authz_user", "dir", "auth_openidc"]].map(
      (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
    );
    const file = join(directory, "apache.conf");
    writeFileSync(
      file,
      `
      ServerRoot ${directory}
      ServerName ${origin}
      Listen 127.0.0.1:${port}
      PidFile ${directory}/apache.pid
      ErrorLog "|$/bin/cat >&2"
      LogLevel warn auth_openidc:info
      User nobody
      Group nogroup
      ${modules.join("\n      ")}
      DocumentRoot ${directory}/www
      OIDCProviderMetadataURL ${issuer}/.well-known/openid-configuration
      OIDCClientID ${client.id}
      OIDCClientSecret ${client.secret}
      OIDCRedirectURI ${origin}/oidc
      OIDCCryptoPassphrase ${randomBytes(24).toString("hex")}
      OIDCScope "openid email profile groups offline_access"
      OIDCPKCEMethod S256
      OIDCRemoteUserClaim email
      OIDCInfoHook userinfo id_token access_token
      OIDCCacheType file
      OIDCCacheDir ${directory}/cache
      OIDCUnAuthAction auth
      # Its log would have nothing to say otherwise of a person in the wrong group.
      OIDCUnAutzAction 403
      <Location /staff>
        AuthType openid-connect
        Require claim groups:staff
      </Location>
      <Location /oidc>
        AuthType openid-connect
        Require valid-user
      </Location>`,
    );
    const running = startProcess(["apache2", "-f", file, "-DFOREGROUND"], {}, directory);
    await ready(`${origin}/bye`, running);
    return {
      process: running,
      enter: (person) => person.open(`${origin}/staff/`),
      async who(person) {
        if (!(await person.ask(`${origin}/staff/`)).ok) return undefined;
        const info = await person.ask(`${origin}/oidc?info=json`);
        // It may have been told of the end meanwhile.
        if (!info.ok) return undefined;
        const { userinfo } = (await info.json()) as { userinfo: { email: string; groups: string[] } };
        return userinfo;
      },
      leave: (person) => person.open(`${origin}/oidc?${new URLSearchParams({ logout: `${origin}/bye` })}`),
      async refresh(person) {
        const info = await person.ask(`${origin}/oidc?info=json`);
        const { access_token } = (await info.json()) as { access_token: string };
        const query = new URLSearchParams({ refresh: `${origin}/bye`, access_token });
        const response = await person.ask(`${origin}/oidc?${query}`);
        return response.status === 302 && !response.headers.get("location")?.includes("error_code");
      },
    };
  },
};
