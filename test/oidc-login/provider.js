import Provider from "oidc-provider";

/**
 * An OpenID provider, for Node: `node provider.js` with `PROVIDER` = `{ port, redirectUri, logoutUri, secret, groups }` as JSON.
 * Whoever types an address there is that, with any password. What it knows of them is at its UserInfo endpoint alone.
 */

const { port, redirectUri, logoutUri, secret, groups } = JSON.parse(process.env.PROVIDER ?? "{}");

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "runegate",
      client_secret: secret,
      redirect_uris: [redirectUri],
      backchannel_logout_uri: logoutUri,
      backchannel_logout_session_required: true,
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
  scopes: ["openid", "email", "groups"],
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true } },
  pkce: { required: () => true },
  // It asks nobody on this machine by itself.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: !id.startsWith("unverified"), groups }),
  }),
});
provider.on("backchannel.error", (_, error) => console.log("backchannel error", error));
provider.listen(port, "127.0.0.1", () => console.log("provider ready"));
