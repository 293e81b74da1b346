// What a failure is called in the reader's language.

import { t } from "./i18n.js";

const BY_CODE = {
  context_length_exceeded: "err_context", queue_full: "err_busy", overloaded: "err_busy",
  model_not_found: "err_model", engine_failed: "err_engine", shutting_down: "err_stopping",
};

export function failureKey({ kind, status, code }) {
  if (kind !== "server") return `err_${kind}`;
  if (code in BY_CODE) return BY_CODE[code];
  if (status === 429 || status === 503) return "err_busy";
  if (status === 401) return "err_key";
  if (status === 403) return "err_access";
  if (status === 413) return "err_large";
  if (status === 504) return "err_timeout";
  return status >= 500 || status === 0 ? "err_server" : "err_request";
}

// {headline, detail}: the second may be empty.
export function failureWords(failure) {
  const parts = [];
  if (failure.detail) parts.push(t("err_detail", { message: failure.detail }));
  if (failure.status) {
    parts.push(t("err_code", { status: failure.status, code: failure.code || "-" }));
  }
  return { headline: t(failureKey(failure)), detail: parts.join(" · ") };
}
