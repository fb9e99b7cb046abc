import { ProviderUnavailable } from "../bearer/provider-keys.ts";
import { systemClock } from "../clock.ts";
import type { Access } from "../config/configuration.ts";
import { quietLoggers } from "../observe/quiet.ts";
import { callbackPath, logoutPath, type Provider } from "../oidc-login/provider.ts";
import type { ProbeResult } from "./probe.ts";

/** Whether the OpenID providers that people may sign in with say of themselves what they should. */
export async function probeProviders({ options, routesFile }: Access): Promise<ProbeResult> {
  const providers = routesFile?.providers ?? [];
  if (providers.length === 0) return { ok: true, lines: ["There are none."] };
  const probed = await Promise.all(providers.map((provider) => probe(provider, options.baseUrl)));
  return { ok: probed.every(({ ok }) => ok), lines: probed.flatMap(({ lines }) => lines) };
}

async function probe(provider: Provider, baseUrl: string): Promise<ProbeResult> {
  const { createProviderClient } = await import("../oidc-login/client.ts");
  const redirectUri = baseUrl + callbackPath(provider);
  const log = quietLoggers()("login");
  const client = createProviderClient({ provider, redirectUri, fetch, clock: systemClock, log });
  try {
    const metadata = await client.metadata();
    const { code_challenge_methods_supported: methods, scopes_supported: known = provider.scopes } = metadata;
    const missing = provider.scopes.filter((scope) => !known.includes(scope));
    const lines = [`${provider.name}: ${provider.issuer} answers.`];
    if (methods?.includes("S256") === false) lines.push(`${provider.name}: it does not take S256 (PKCE).`);
    if (missing.length > 0)
      lines.push(`${provider.name}: it does not know of ${missing.join(", ")} in scopes.`);
    const ok = lines.length === 1;
    if (metadata.backchannel_logout_supported === true)
      lines.push(`${provider.name}: its back-channel logout URI is ${baseUrl}${logoutPath(provider)}.`);
    return { ok, lines };
  } catch (error) {
    if (!(error instanceof ProviderUnavailable)) throw error;
    return { ok: false, lines: [`${provider.name}: ${error.message}`] };
  }
}
