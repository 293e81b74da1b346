#include "testing/certificates.h"

#include <ctime>
#include <vector>

#include "base/result.h"
#include "net/openssl.h"

namespace hearth::testing {
namespace {

using net::BioPtr;
using net::KeyPtr;
using net::X509Ptr;

void extend(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  HEARTH_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void extend_with_dns(X509* certificate, const std::string& bytes) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size()));
  GENERAL_NAME_set0_value(name, GEN_DNS, text);
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  sk_GENERAL_NAME_push(names, name);
  HEARTH_CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1);
  GENERAL_NAMES_free(names);
}

X509Ptr parse(const std::string& pem) {
  const BioPtr bio = net::memory_bio(pem);
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

KeyPtr parse_key(const std::string& pem) {
  const BioPtr bio = net::memory_bio(pem);
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

void set_name(X509_NAME* name, const std::string& text) {
  const std::vector<unsigned char> bytes(text.begin(), text.end());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes.data(),
                             static_cast<int>(bytes.size()), -1, 0);
}

// By `issuer`, or by itself.
Certificate make(const CertificateSpec& spec, const Certificate* issuer) {
  static long serial = 1;
  const KeyPtr key(spec.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(spec.rsa_bits))
                                     : EVP_EC_gen("P-256"));
  const X509Ptr made(X509_new());
  X509_set_version(made.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  const std::time_t now = std::time(nullptr);
  ASN1_TIME_set(X509_getm_notBefore(made.get()), now + spec.from_s);
  ASN1_TIME_set(X509_getm_notAfter(made.get()), now + spec.until_s);
  X509_set_pubkey(made.get(), key.get());
  set_name(X509_get_subject_name(made.get()), issuer ? "leaf" : "authority");
  KeyPtr signing;
  if (issuer != nullptr) {
    const X509Ptr above = parse(issuer->pem);
    X509_set_issuer_name(made.get(), X509_get_subject_name(above.get()));
    signing = parse_key(issuer->key);
    extend(made.get(), NID_basic_constraints, "critical,CA:FALSE");
    if (!spec.raw_dns.empty()) {
      extend_with_dns(made.get(), spec.raw_dns);
    } else if (!spec.names.empty()) {
      extend(made.get(), NID_subject_alt_name, spec.names);
    }
  } else {
    X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
    extend(made.get(), NID_basic_constraints, "critical,CA:TRUE");
    extend(made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  HEARTH_CHECK(X509_sign(made.get(), signing ? signing.get() : key.get(), EVP_sha256()) > 0);
  const BioPtr pem(BIO_new(BIO_s_mem()));
  const BioPtr key_pem(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(pem.get(), made.get());
  PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {net::text_of(pem.get()), net::text_of(key_pem.get())};
}

}  // namespace

Authority::Authority() : own_(make({}, nullptr)) {}

Certificate Authority::issue(const CertificateSpec& spec) const { return make(spec, &own_); }

std::string Authority::list(const std::string& taken_back) const {
  const net::X509CrlPtr made(X509_CRL_new());
  X509_CRL_set_version(made.get(), X509_CRL_VERSION_2);
  const X509Ptr own = parse(own_.pem);
  X509_CRL_set_issuer_name(made.get(), X509_get_subject_name(own.get()));
  ASN1_TIME* time = ASN1_TIME_new();
  ASN1_TIME_set(time, std::time(nullptr) - 60);
  X509_CRL_set1_lastUpdate(made.get(), time);
  if (!taken_back.empty()) {
    const X509Ptr certificate = parse(taken_back);
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get()));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(made.get(), entry);
  }
  ASN1_TIME_set(time, std::time(nullptr) + 86'400);
  X509_CRL_set1_nextUpdate(made.get(), time);
  ASN1_TIME_free(time);
  const KeyPtr key = parse_key(own_.key);
  HEARTH_CHECK(X509_CRL_sign(made.get(), key.get(), EVP_sha256()) > 0);
  const BioPtr pem(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(pem.get(), made.get());
  return net::text_of(pem.get());
}

std::string Authority::list_of(const Certificate& taken_back) const { return list(taken_back.pem); }
std::string Authority::empty_list() const { return list({}); }

}  // namespace hearth::testing
