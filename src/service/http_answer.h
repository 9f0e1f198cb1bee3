// http_answer.h — From a request's target to the handler that it leads to, and what that answered.
//
// Runs on:  http_thread.
// Failure:  400 malformed target, 403 not for this peer, 404 no such route, 405 wrong method, 500 a handler threw.
//
// Private to src/service.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "service/http_server.h"

namespace weir::service {

struct Answer {
  HttpResponse response;
  std::string allow;  // of a 405
};

/// Fills in path, query and tail from `target` and calls the handler that they lead to.
Answer answer_request(const std::vector<HttpRoute>& routes, HttpRequest& request,
                      std::string_view target);

}  // namespace weir::service
