// The key that signs the checkpoints of an audit log.
#pragma once

#include <string>

#include "base/result.h"
#include "crypto/ed25519.h"

namespace hearth::security {

// A file with an Ed25519 key: PEM, or 64 hex digits. "invalid_audit_key": it is none, or others
// than its owner may read it.
Result<crypto::Ed25519Key> read_audit_signer(const std::string& path);

// The key of a folder: signer.key (mode 0600), made with its public half signer.pub (PEM) if it is
// not there.
Result<crypto::Ed25519Key> own_audit_signer(const std::string& folder);

// As `openssl pkey -pubout` writes it.
std::string audit_signer_pem(const crypto::Ed25519Public& key);

}  // namespace hearth::security
