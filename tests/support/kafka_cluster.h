// kafka_cluster.h — librdkafka's own pretended cluster for one test, and a reader of what it stored.
//
// It keeps logs and answers as brokers do, but does not look at sequence numbers: what a client sends
// twice it stores twice.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace weir::test {

struct KafkaStored {
  std::string topic;
  std::string key;
  std::map<std::string, std::string> headers;
  std::string payload;
};

class KafkaCluster {
 public:
  static constexpr int16_t kProduce = 0;  // the protocol's number of that request

  explicit KafkaCluster(int brokers = 1) : brokers_(brokers), owner_(make(RD_KAFKA_PRODUCER, {})) {
    cluster_ = rd_kafka_mock_cluster_new(owner_, brokers);
    if (cluster_ == nullptr) throw std::runtime_error("no mock cluster");
  }
  ~KafkaCluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  KafkaCluster(const KafkaCluster&) = delete;
  KafkaCluster& operator=(const KafkaCluster&) = delete;

  rd_kafka_mock_cluster_t* get() const { return cluster_; }
  std::string addresses() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  void create_topic(const std::string& topic, int partitions = 2) {
    rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, brokers_);
    partitions_[topic] = partitions;
  }
  void set_down() {
    for (int32_t id = 1; id <= brokers_; ++id) rd_kafka_mock_broker_set_down(cluster_, id);
  }
  void set_up() {
    for (int32_t id = 1; id <= brokers_; ++id) rd_kafka_mock_broker_set_up(cluster_, id);
  }
  void fail_produce(std::vector<rd_kafka_resp_err_t> errors) {
    rd_kafka_mock_push_request_errors_array(cluster_, kProduce, errors.size(), errors.data());
  }

  /// Everything in the topics that the test has created.
  std::vector<KafkaStored> read_all() const {
    rd_kafka_t* const reader = make(RD_KAFKA_CONSUMER, addresses());
    rd_kafka_poll_set_consumer(reader);
    rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(8);
    // An end can be told twice, after an error of the broker.
    std::set<std::pair<std::string, int32_t>> ends_missing;
    for (const auto& [topic, partitions] : partitions_) {
      for (int32_t p = 0; p < partitions; ++p) {
        ends_missing.emplace(topic, p);
        rd_kafka_topic_partition_list_add(list, topic.c_str(), p)->offset = RD_KAFKA_OFFSET_BEGINNING;
      }
    }
    rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    std::vector<KafkaStored> stored;
    for (int tries = 0; !ends_missing.empty() && tries < 200;) {
      rd_kafka_message_t* const m = rd_kafka_consumer_poll(reader, 100);
      if (m == nullptr) {
        ++tries;
        continue;
      }
      if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ends_missing.erase({rd_kafka_topic_name(m->rkt), m->partition});
      }
      if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) stored.push_back(copy_of(m));
      rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    if (!ends_missing.empty()) throw std::runtime_error("the topics could not be read to their ends");
    return stored;
  }

 private:
  static rd_kafka_t* make(rd_kafka_type_t type, const std::string& addresses) {
    rd_kafka_conf_t* const conf = rd_kafka_conf_new();
    char why[256];
    const auto set = [&](const char* name, const std::string& value) {
      if (rd_kafka_conf_set(conf, name, value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK) {
        throw std::runtime_error(why);
      }
    };
    set("log_level", "0");
    if (type == RD_KAFKA_CONSUMER) {
      set("bootstrap.servers", addresses);
      set("group.id", "test");
      set("enable.partition.eof", "true");
      set("enable.auto.commit", "false");
      set("auto.offset.reset", "earliest");  // where a slow machine makes it ask again for the beginning
    }
    rd_kafka_t* const made = rd_kafka_new(type, conf, why, sizeof why);
    if (made == nullptr) throw std::runtime_error(why);
    return made;
  }
  static KafkaStored copy_of(const rd_kafka_message_t* m) {
    KafkaStored stored;
    stored.topic = rd_kafka_topic_name(m->rkt);
    stored.key.assign(static_cast<const char*>(m->key), m->key_len);
    stored.payload.assign(static_cast<const char*>(m->payload), m->len);
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* name = nullptr;
      const void* value = nullptr;
      size_t octets = 0;
      for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &octets) ==
                         RD_KAFKA_RESP_ERR_NO_ERROR;
           ++i) {
        stored.headers[name].assign(static_cast<const char*>(value), octets);
      }
    }
    return stored;
  }

  const int brokers_;
  std::map<std::string, int> partitions_;
  rd_kafka_t* owner_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace weir::test
