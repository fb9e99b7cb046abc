import clients from "../../deploy/config/clients.toml.example" with { type: "text" };
import email from "../../deploy/config/email.toml.example" with { type: "text" };
import routes from "../../deploy/config/routes.toml.example" with { type: "text" };
import env from "../../deploy/runegate.env.example" with { type: "text" };

/** The configuration files to start from, by the name that `runegate config --example` takes. */
export const EXAMPLES: ReadonlyMap<string, string> = new Map([
  ["env", env],
  ["email", email],
  ["routes", routes],
  ["clients", clients],
]);
