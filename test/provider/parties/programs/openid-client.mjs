/** A small application that signs people in with openid-client: `node openid-client.mjs`. */

import { createServer } from "node:http";
import * as oidc from "openid-client";

const { PORT, ORIGIN, ISSUER, CLIENT_ID, CLIENT_SECRET, ALGORITHM = "RS256" } = process.env;

const config = await oidc.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  { id_token_signed_response_alg: ALGORITHM, redirect_uris: [`${ORIGIN}/callback`] },
  CLIENT_SECRET === undefined ? oidc.None() : oidc.ClientSecretBasic(CLIENT_SECRET),
  { execute: [oidc.allowInsecureRequests] },
);
/** What a cookie stands for: a login under way, or somebody who is signed in. */
const visits = new Map();

async function answer(request) {
  const url = new URL(request.url, ORIGIN);
  const id = /(?:^|; )rp=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
  const visit = visits.get(id) ?? {};
  switch (url.pathname) {
    case "/login": {
      const verifier = oidc.randomPKCECodeVerifier();
      const [state, nonce, key] = [oidc.randomState(), oidc.randomNonce(), oidc.randomState()];
      visits.set(key, { verifier, state, nonce });
      const to = oidc.buildAuthorizationUrl(config, {
        redirect_uri: `${ORIGIN}/callback`,
        scope: "openid email profile groups offline_access",
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        ...{ state, nonce },
        ...Object.fromEntries(url.searchParams),
      });
      return { to, cookie: key };
    }
    case "/callback": {
      const tokens = await oidc.authorizationCodeGrant(config, url, {
        pkceCodeVerifier: visit.verifier,
        expectedState: visit.state,
        expectedNonce: visit.nonce,
        idTokenExpected: true,
      });
      visits.set(id, { tokens, claims: tokens.claims() });
      return { to: new URL(`${ORIGIN}/me`) };
    }
    case "/me": {
      if (visit.claims === undefined) return { status: 401 };
      const info = await oidc.fetchUserInfo(config, visit.tokens.access_token, visit.claims.sub);
      return { body: { ...visit.claims, ...info } };
    }
    case "/refresh": {
      const tokens = await oidc.refreshTokenGrant(config, visit.tokens.refresh_token);
      visits.set(id, { ...visit, tokens: { ...visit.tokens, ...tokens } });
      return { body: { refreshed: true } };
    }
    case "/logout": {
      visits.delete(id);
      const to = oidc.buildEndSessionUrl(config, {
        id_token_hint: visit.tokens?.id_token ?? "",
        post_logout_redirect_uri: `${ORIGIN}/bye`,
      });
      return { to };
    }
    case "/bye":
      return { body: "bye" };
    default:
      return { status: 404 };
  }
}

createServer(async (request, response) => {
  try {
    const { status = 200, body, to, cookie } = await answer(request);
    if (cookie !== undefined)
      response.setHeader("Set-Cookie", `rp=${cookie}; HttpOnly; SameSite=Lax; Path=/`);
    if (to === undefined) response.writeHead(status).end(JSON.stringify(body));
    else response.writeHead(302, { Location: to.href }).end();
  } catch (error) {
    response.writeHead(400).end(`${error.name}: ${error.message} ${error.error ?? error.code ?? ""}`);
  }
}).listen(Number(PORT), "127.0.0.1");
