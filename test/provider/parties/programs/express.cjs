/** An Express application that signs people in with express-openid-connect, and hears of logouts: `node express.cjs`. */

const express = require("express");
const { auth } = require("express-openid-connect");

const { PORT, ORIGIN, ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env;

/** What has been logged out, as its documentation asks for: a store of express-session's form. */
const loggedOut = new Map();
const store = {
  get: (key, done) => done(null, loggedOut.get(key)),
  set: (key, value, done) => done(null, void loggedOut.set(key, value)),
  destroy: (key, done) => done(null, void loggedOut.delete(key)),
};

const app = express();
app.use(
  auth({
    issuerBaseURL: ISSUER,
    baseURL: ORIGIN,
    clientID: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    secret: crypto.randomUUID() + crypto.randomUUID(),
    authRequired: false,
    idpLogout: true,
    authorizationParams: {
      response_type: "code",
      response_mode: "query",
      scope: "openid email profile groups offline_access",
    },
    backchannelLogout: { store },
    routes: { postLogoutRedirect: "/bye" },
  }),
);
app.get("/me", async (request, response) => {
  if (!request.oidc.isAuthenticated()) return response.status(401).end();
  response.json(await request.oidc.fetchUserInfo());
});
app.post("/refresh", async (request, response) => {
  const { access_token } = await request.oidc.accessToken.refresh();
  response.json({ access_token: access_token !== undefined });
});
app.get("/bye", (_, response) => response.send("bye"));
// Express tells one by its four parameters.
app.use((error, _request, response, _next) => response.status(400).send(String(error)));
app.listen(Number(PORT), "127.0.0.1");
