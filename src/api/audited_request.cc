#include "api/audited_request.h"

#include <utility>

#include "api/errors.h"

namespace hearth::api {

AuditedRequest::AuditedRequest(std::shared_ptr<security::AuditLog> log,
                               const net::HttpRequest& request, std::string route,
                               net::Responder& responder)
    : log_(std::move(log)),
      name_(request.name()),
      method_(request.method),
      route_(std::move(route)),
      peer_(request.peer),
      held_(responder.hold()) {}

AuditedRequest::~AuditedRequest() {
  if (!admitted_) return;  // its refusal was the one record
  // A client that left before anything was known of its request.
  if (!begun_) opened_seq_ = log_->append(first_record("opened"));
  if (opened_seq_ == 0) return;
  security::AuditRecord record = {
      "closed",
      {{"opened", opened_seq_}, {"request", name_.id}, {"status", status_}, {"result", result()}}};
  OrderedJson& fields = record.fields;
  if (!code_.empty()) fields["code"] = code_;
  if (!finishes_.empty()) fields["finish"] = finishes_;
  if (prompt_tokens_ > 0) fields["prompt_tokens"] = prompt_tokens_;
  if (!finishes_.empty()) fields["completion_tokens"] = completion_tokens_;
  if (!redactions_.empty()) fields["redactions"] = redactions_;
  log_->append(record);
}

std::string AuditedRequest::result() const {
  if (status_ >= 500) return "failed";
  if (status_ >= 400) return "refused";
  if (cancelled_ || status_ == 0) return "cancelled";
  return code_.empty() ? "ok" : "failed";
}

void AuditedRequest::identified(const security::Identity& identity) {
  const std::lock_guard lock(mutex_);
  identity_ = identity.name;
  key_ = identity.key_id;
}

void AuditedRequest::admitted() {
  const std::lock_guard lock(mutex_);
  admitted_ = true;
}

void AuditedRequest::target(std::string name) {
  const std::lock_guard lock(mutex_);
  target_ = std::move(name);
}

void AuditedRequest::model(const std::string& id, const std::string& version) {
  {
    const std::lock_guard lock(mutex_);
    model_ = id;
    version_ = version;
  }
  open(nullptr);
}

void AuditedRequest::open_before(std::function<void()> then) { open(std::move(then)); }

void AuditedRequest::prompt_tokens(std::int64_t count) {
  const std::lock_guard lock(mutex_);
  prompt_tokens_ += count;
}

void AuditedRequest::choice_ended(std::string_view finish, std::int64_t tokens) {
  const std::lock_guard lock(mutex_);
  finishes_.emplace_back(finish);
  completion_tokens_ += tokens;
}

void AuditedRequest::redacted(std::string_view type, std::int64_t count) {
  const std::lock_guard lock(mutex_);
  redactions_[std::string(type)] += count;
}

void AuditedRequest::act(std::string_view name, const std::string& target) {
  const std::lock_guard lock(mutex_);
  log_->append({"act",
                {{"act", name},
                 {"target", target},
                 {"request", name_.id},
                 {"identity", identity_},
                 {"key", key_},
                 {"peer", peer_},
                 {"result", "ok"}}});
}

void AuditedRequest::cancelled() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
}

void AuditedRequest::failed(std::string_view code) {
  const std::lock_guard lock(mutex_);
  code_ = code;
}

void AuditedRequest::answered(int status, std::string_view code) {
  {
    const std::lock_guard lock(mutex_);
    status_ = status;
    code_ = code;
  }
  open(nullptr);
}

security::AuditRecord AuditedRequest::first_record(const char* kind) const {
  security::AuditRecord record = {kind,
                                  {{"request", name_.id},
                                   {"identity", identity_},
                                   {"key", key_},
                                   {"peer", peer_},
                                   {"method", method_},
                                   {"route", route_}}};
  OrderedJson& fields = record.fields;
  if (!name_.trace_id.empty()) fields["trace"] = name_.trace_id;
  if (!target_.empty()) fields["target"] = target_;
  if (!model_.empty()) fields["model"] = model_;
  if (!version_.empty()) fields["model_version"] = version_;
  return record;
}

void AuditedRequest::open(std::function<void()> then) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(begun_, true)) return;
  security::AuditRecord record = first_record(admitted_ ? "opened" : "refused");
  if (!admitted_) {
    record.fields["status"] = status_;
    record.fields["result"] = result();
    record.fields["code"] = code_;
  }
  // Never called inside append(), which may run under the answer's lock.
  opened_seq_ = log_->append(
      record, [self = shared_from_this(), then = std::move(then)](const Status& confirmed) {
        if (!confirmed) return self->unavailable(confirmed.error());
        self->held_.release();
        if (then) then();
      });
}

void AuditedRequest::unavailable(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    status_ = 503;
    code_ = error.code;
  }
  held_.replace(to_response(error, name_));
}

}  // namespace hearth::api
