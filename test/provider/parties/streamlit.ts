import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningProcess, startProcess } from "../../support/process.ts";
import { installPython, inVenv } from "./install.ts";
import type { Client, Place } from "./party.ts";
import { newSecret, program, surroundings } from "./programs.ts";
import { ready } from "./ready.ts";

/** Streamlit with `st.login`, which is of no use without a browser that runs its script. */

export const streamlitClient = (origin: string): Omit<Client, "id"> => ({
  secret: newSecret(),
  redirectUris: [`${origin}/oauth2callback`],
  // The same address hears of both.
  postLogoutRedirectUris: [`${origin}/oauth2callback`],
});

export async function startStreamlit(place: Place): Promise<RunningProcess> {
  installPython();
  const { port, origin, issuer, client, directory } = place;
  mkdirSync(join(directory, ".streamlit"));
  writeFileSync(
    join(directory, ".streamlit/secrets.toml"),
    `[auth]
    redirect_uri = "${origin}/oauth2callback"
    cookie_secret = "${randomBytes(32).toString("hex")}"
    client_id = "${client.id}"
    client_secret = "${client.secret}"
    server_metadata_url = "${issuer}/.well-known/openid-configuration"
    client_kwargs = { scope = "openid email profile groups" }`,
  );
  const running = startProcess(
    [
      ...[inVenv("streamlit"), "run", program("streamlit-app.py"), "--server.headless=true"],
      ...["--server.address=127.0.0.1", `--server.port=${port}`, "--browser.gatherUsageStats=false"],
    ],
    surroundings(place),
    directory,
  );
  await ready(`${origin}/_stcore/health`, running);
  return running;
}
