// The answering half of a request, usable from any thread. Either send() once, or begin_stream(),
// write() as often as needed, and end(). A responder that is dropped unanswered answers 500 itself.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"

namespace hearth::net {

class Exchange;

struct StreamOptions {
  std::string keep_alive;                    // written after each `silence_max` without output
  std::chrono::milliseconds silence_max{0};  // 0: never
};

class Responder {
 public:
  // Made by the server (and by tests that have an Exchange of their own).
  explicit Responder(std::shared_ptr<Exchange> exchange);

  // The first of send() and begin_stream() wins; what comes after it is ignored. False: this was
  // not the first.
  bool send(HttpResponse response);

  // False: the client is gone, or the response was already begun.
  bool begin_stream(int status, Headers headers, StreamOptions options = {});

  // The same stream, as soon as it has something to say, or once nothing was sent for
  // `options.silence_max`: then it begins with the keep-alive text. Until one of them, send() can
  // still answer with another status.
  void stream_after_silence(int status, Headers headers, StreamOptions options);
  bool begin_prepared_stream();  // true also if it has begun by itself

  // Never blocks. False: the client is gone, or it reads so slowly that more than the server's
  // `stream_unsent_bytes_max` would wait for it; then the connection is being closed. Stop working.
  bool write(std::string_view chunk);
  void end();

  // Closes the connection without a proper end, so that the client cannot take the part it has for
  // the whole.
  void abort();

  // Called at most once, and only while the response is not complete: the client closed its side or
  // reset the connection, was too slow, or the server is closing. On an I/O thread, or at once here
  // if that has already happened. Must return fast. A client that only closes its sending side
  // counts as gone once a callback is set.
  void on_disconnect(std::function<void()> callback);
  bool disconnected() const;

  // Called once, when the answer's head is made, with its status and an error document's code;
  // never if the client leaves before that. On whichever thread answers, under a lock: only count.
  void observe(std::function<void(int status, std::string_view error_code)> observer);

 private:
  struct Guard;
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<Guard> guard_;  // shared by the copies: the last one gone answers for them all
};

}  // namespace hearth::net
