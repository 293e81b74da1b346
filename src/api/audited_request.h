// The audit records of one request. Its answer is held back until the first of them is durable:
// nothing is answered unrecorded. Whoever works on the request says what he knows of it; the second
// record is written when the last of them lets go.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http.h"
#include "net/responder.h"
#include "security/audit_log.h"
#include "security/identity.h"

namespace hearth::api {

class AuditedRequest : public std::enable_shared_from_this<AuditedRequest> {
 public:
  // Holds the answer back. `route`: the pattern.
  AuditedRequest(std::shared_ptr<security::AuditLog> log, const net::HttpRequest& request,
                 std::string route, net::Responder& responder);
  ~AuditedRequest();
  AuditedRequest(const AuditedRequest&) = delete;
  AuditedRequest& operator=(const AuditedRequest&) = delete;

  // All of it thread-safe.
  void identified(const security::Identity& identity);
  void admitted();                // else there is one record, of a refusal
  void target(std::string name);  // what an administrator's request is about
  // The first record is written now; without this, when the answer begins.
  void model(const std::string& id, const std::string& version);
  // The first record, and `then` once it is durable, else the answer is 503. On a thread of the
  // log's.
  void open_before(std::function<void()> then);

  void prompt_tokens(std::int64_t count);
  void choice_ended(std::string_view finish, std::int64_t tokens);
  void redacted(std::string_view type, std::int64_t count);
  // A record of its own of something that was changed.
  void act(std::string_view name, const std::string& target);
  void cancelled();                    // the client left
  void failed(std::string_view code);  // in the middle of a stream
  // When the answer's head is made, under its lock.
  void answered(int status, std::string_view code);

 private:
  security::AuditRecord first_record(const char* kind) const;
  void open(std::function<void()> then);
  void unavailable(const Error& error);
  std::string result() const;

  const std::shared_ptr<security::AuditLog> log_;
  const net::RequestName name_;
  const std::string method_;
  const std::string route_;
  const std::string peer_;
  const net::HeldAnswer held_;

  std::mutex mutex_;  // guards what follows
  bool admitted_ = false;
  bool begun_ = false;  // the first record is under way
  std::uint64_t opened_seq_ = 0;
  std::string identity_;
  std::string key_;
  std::string target_;
  std::string model_;
  std::string version_;
  int status_ = 0;
  std::string code_;
  bool cancelled_ = false;
  std::int64_t prompt_tokens_ = 0;
  std::int64_t completion_tokens_ = 0;
  std::vector<std::string> finishes_;
  std::map<std::string, std::int64_t, std::less<>> redactions_;
};

}  // namespace hearth::api
