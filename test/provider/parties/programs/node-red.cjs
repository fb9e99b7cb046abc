/** Node-RED's settings: people come from an OpenID provider, by passport-openidconnect. */

const { ORIGIN, ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env;
const oidc = `${ISSUER}/_runegate/oidc`;

module.exports = {
  uiHost: "127.0.0.1",
  uiPort: Number(PORT),
  editorTheme: { tours: false },
  externalModules: { autoInstall: false, palette: { allowInstall: false } },
  telemetry: { enabled: false, updateNotification: false },
  adminAuth: {
    type: "strategy",
    strategy: {
      name: "openidconnect",
      label: "Sign in with Runegate",
      strategy: require("passport-openidconnect").Strategy,
      autoLogin: true,
      options: {
        issuer: ISSUER,
        authorizationURL: process.env.AUTHORIZE ?? `${oidc}/authorize`,
        tokenURL: process.env.TOKEN ?? `${oidc}/token`,
        userInfoURL: process.env.USERINFO ?? `${oidc}/userinfo`,
        clientID: CLIENT_ID,
        clientSecret: CLIENT_SECRET,
        callbackURL: `${ORIGIN}/auth/strategy/callback`,
        scope: ["email", "profile", "groups"],
        nonce: true,
        // With eight parameters the profile is what UserInfo says.
        skipUserProfile: false,
        verify: (_issuer, profile, done) =>
          done(null, { username: profile.emails[0].value, groups: profile._json?.groups }),
      },
    },
    users: (name) => Promise.resolve({ username: name, permissions: "*" }),
  },
};
