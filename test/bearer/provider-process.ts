import Provider from "oidc-provider";

/**
 * An OpenID provider in a process of its own: `bun provider-process.ts`, with `PROVIDER` = {@link ProviderSetup} as JSON. Each
 * client stands for somebody, whose claims its tokens have; it asks by `client_credentials` for a `resource`, of which the last
 * part of the path is the algorithm.
 */

export type ProviderSetup = {
  readonly port: number;
  /** Private. */
  readonly keys: readonly object[];
  readonly clients: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly audience: string;
};

/** What nobody has to guess, on loopback in a test. */
export const CLIENT_SECRET = "for-tests";

const { port, keys, clients, audience }: ProviderSetup = JSON.parse(process.env.PROVIDER ?? "{}");
if (port !== undefined) {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: { keys: [...keys] },
    clients: Object.keys(clients).map((id) => ({
      client_id: id,
      client_secret: CLIENT_SECRET,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_: unknown, resource: string) => ({
          scope: "",
          audience,
          accessTokenTTL: 600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: resource.slice(resource.lastIndexOf("/") + 1) } },
        }),
      },
    },
    extraTokenClaims: (_: unknown, { clientId }: { clientId?: string }) => clients[clientId ?? ""],
  });
  provider.listen(port, "127.0.0.1", () => console.log("provider ready"));
}
