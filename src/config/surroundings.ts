import { type Random, systemRandom } from "../clock.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a process is started with: its environment, and flags that stand for options, by the option's name, which go before. */
export type Given = { readonly env: Environment; readonly flags?: Environment };

/** The world outside the environment, passed in so that tests need no `/etc`. */
export type Surroundings = {
  /** Places for the env file where `RUNEGATE_ENV_FILE` is unset; the first that exists is read. */
  readonly envFiles: readonly string[];
  /** Places for `email.toml` where `RUNEGATE_EMAIL_CONFIG` is unset; the first that exists is read. */
  readonly emailConfigs: readonly string[];
  /** Places for `routes.toml` where `RUNEGATE_ROUTES` is unset; the first that exists is read. */
  readonly routesFiles: readonly string[];
  /** Places for `clients.toml` where `RUNEGATE_CLIENTS` is unset; the first that exists is read. */
  readonly clientsFiles?: readonly string[];
  /** What an installed service has under `/run`. */
  readonly serviceRuntimeDirectory: string;
  /** Where systemd shows root the credentials of an installed service, while that runs. */
  readonly serviceCredentials: string;
  readonly random: Random;
};

export const SYSTEM: Surroundings = {
  envFiles: ["/etc/runegate/runegate.env", ".env"],
  emailConfigs: ["/etc/runegate/config/email.toml", "config/email.toml"],
  routesFiles: ["/etc/runegate/config/routes.toml", "config/routes.toml"],
  clientsFiles: ["/etc/runegate/config/clients.toml", "config/clients.toml"],
  serviceRuntimeDirectory: "/run/runegate",
  serviceCredentials: "/run/credentials/runegate.service",
  random: systemRandom,
};
