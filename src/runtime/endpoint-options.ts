/** The options that say what connections are made of: TLS and Unix sockets. They are part of `RUNTIME_OPTIONS` in `options.ts`. */
import { choiceOption, integerOption, textOption } from "./option.js";

/** The definition of each option for TLS and for Unix sockets. */
export const ENDPOINT_OPTIONS = {
  unix: textOption({
    flag: "unix",
    environment: ["RINGLOOM_UNIX"],
    placeholder: "PATH",
    fallback: "none",
    fallbackText: "none",
    allowed: "none, or a path of at most 107 bytes",
    description:
      "A Unix socket to listen on, in place of host and port. What a dead server has left at the path is removed.",
  }),
  unixMode: textOption({
    flag: "unix-mode",
    environment: ["RINGLOOM_UNIX_MODE"],
    placeholder: "MODE",
    fallback: "auto",
    fallbackText: "auto, what the umask leaves",
    allowed: "auto, or an octal mode such as 660",
    description: "Who may connect to the Unix socket: the mode of its file, from the first moment on.",
  }),
  tlsCert: textOption({
    flag: "tls-cert",
    environment: ["RINGLOOM_TLS_CERT"],
    placeholder: "FILES",
    fallback: "none",
    fallbackText: "none",
    allowed:
      "none, or the path of a PEM file; several, with commas between them, are chosen by the name that the client asks for",
    description:
      "Serves TLS with this certificate, behind which those stand that lead to a trusted one. Several are chosen by the names in them; the first is for everybody else.",
  }),
  tlsKey: textOption({
    flag: "tls-key",
    environment: ["RINGLOOM_TLS_KEY"],
    placeholder: "FILES",
    fallback: "none",
    fallbackText: "none",
    allowed: "none, or the path of a PEM file; as many as certificates",
    description: "The key of the certificate; several in the order of the certificates.",
  }),
  tlsCa: textOption({
    flag: "tls-ca",
    environment: ["RINGLOOM_TLS_CA"],
    placeholder: "FILE",
    fallback: "none",
    fallbackText: "none, those that Node trusts",
    allowed: "none, or the path of a PEM file",
    description: "Whose client certificates are trusted.",
  }),
  tlsRequestCert: choiceOption({
    flag: "tls-request-cert",
    environment: ["RINGLOOM_TLS_REQUEST_CERT"],
    placeholder: "MODE",
    fallback: "off",
    fallbackText: "off",
    choices: ["off", "optional", "required"],
    description: "Whether clients are asked for a certificate, and refused without a trusted one.",
  }),
  tlsMinVersion: choiceOption({
    flag: "tls-min-version",
    environment: ["RINGLOOM_TLS_MIN_VERSION"],
    placeholder: "VERSION",
    fallback: "TLSv1.2",
    fallbackText: "TLSv1.2",
    choices: ["TLSv1.2", "TLSv1.3"],
    description: "The lowest version of TLS that is spoken.",
  }),
  tlsHandshakeMs: integerOption({
    flag: "tls-handshake-ms",
    environment: ["RINGLOOM_TLS_HANDSHAKE_MS"],
    placeholder: "MS",
    fallback: 10_000,
    fallbackText: "10000",
    min: 1,
    max: 3_600_000,
    description: "How long a TLS handshake may take, in milliseconds.",
  }),
};
