/** As much of it as the tests use: it brings no types. */
declare module "oidc-provider" {
  export default class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    listen(port: number, host: string, listening: () => void): void;
  }
}
