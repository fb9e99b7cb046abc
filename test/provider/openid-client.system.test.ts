import { holdParties } from "./parties/drive.ts";
import { openidClient } from "./parties/web-apps.ts";

/** A relying party on openid-client, which is locked in this repository; the ones that others wrote run by hand (`parties/`). */

holdParties([openidClient("RS256", "confidential"), openidClient("ES256", "public")]);
