/* The cipher and the MAC of ESP packets with OpenSSL and with intel-ipsec-mb: what is left to do once a packet has been
 * framed, and its IV is known. Everything that belongs to a key is made once. */

#include <intel-ipsec-mb.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ICV = 12, IDS = 8 };
enum { GCM_ICV = 16, GCM_IV = 12 };
enum { CIPHER_NULL, CIPHER_DES_EDE3, CIPHER_AES, CIPHER_GCM };
enum { MAC_MD5, MAC_SHA1, MAC_GMAC, MAC_NULL };

/* One SA, in one direction. */
struct sa {
    int cipher, mac, seal;
    size_t iv_len, icv;
    uint8_t salt[4];
    DECLARE_ALIGNED(struct gcm_key_data gcm, 64);
    EVP_CIPHER_CTX *evp_cipher;
    EVP_MAC_CTX *evp_mac;
    DECLARE_ALIGNED(uint8_t enc_keys[16 * 15], 16);
    DECLARE_ALIGNED(uint8_t dec_keys[16 * 15], 16);
    DECLARE_ALIGNED(uint64_t des[3][16], 16);
    const void *des_keys[3];
    DECLARE_ALIGNED(uint8_t ipad[64], 16);
    DECLARE_ALIGNED(uint8_t opad[64], 16);
};

/* A packet from its SPI to the end of its ICV, and where its payload goes when it is opened. */
struct packet {
    struct sa *sa;
    uint8_t *esp;
    size_t len;
    uint8_t *out;
};

static IMB_MGR *manager;

static int is_gcm(const struct sa *sa) { return sa->mac == MAC_GMAC || sa->mac == MAC_NULL; }

/* Salt and IV. */
static void nonce(const struct packet *packet, uint8_t *nonce) {
    memcpy(nonce, packet->sa->salt, 4);
    memcpy(nonce + 4, packet->esp + IDS, 8);
}

const char *peers_init(void) {
    IMB_ARCH arch = IMB_ARCH_NONE;
    manager = alloc_mb_mgr(0);
    if (manager == NULL)
        return NULL;
    init_mb_mgr_auto(manager, &arch);
    return arch == IMB_ARCH_AVX512 ? "avx512" : arch == IMB_ARCH_AVX2 ? "avx2" : "sse";
}

const char *peers_openssl_version(void) { return OpenSSL_version(OPENSSL_VERSION); }
const char *peers_imb_version(void) { return imb_get_version_str(); }

struct sa *peers_sa(int cipher, int mac, int seal, const uint8_t *key, const uint8_t *mac_key, size_t mac_key_len) {
    struct sa *sa = aligned_alloc(64, (sizeof *sa + 63) / 64 * 64);
    memset(sa, 0, sizeof *sa);
    sa->cipher = cipher;
    sa->mac = mac;
    sa->seal = seal;
    sa->icv = is_gcm(sa) ? GCM_ICV : ICV;
    if (is_gcm(sa)) {
        const uint8_t *material = cipher == CIPHER_GCM ? key : mac_key;
        sa->iv_len = 8;
        memcpy(sa->salt, material + 16, 4);
        DECLARE_ALIGNED(uint8_t aligned[16], 16);
        memcpy(aligned, material, sizeof aligned);
        IMB_AES128_GCM_PRE(manager, aligned, &sa->gcm);
        sa->evp_cipher = EVP_CIPHER_CTX_new();
        if (!EVP_CipherInit_ex(sa->evp_cipher, EVP_aes_128_gcm(), NULL, material, NULL, seal))
            abort();
        return sa;
    }
    sa->iv_len = cipher == CIPHER_NULL ? 0 : cipher == CIPHER_AES ? 16 : 8;

    if (cipher != CIPHER_NULL) {
        const EVP_CIPHER *evp = cipher == CIPHER_AES ? EVP_aes_128_cbc() : EVP_des_ede3_cbc();
        sa->evp_cipher = EVP_CIPHER_CTX_new();
        if (!EVP_CipherInit_ex(sa->evp_cipher, evp, NULL, key, NULL, seal))
            abort();
        EVP_CIPHER_CTX_set_padding(sa->evp_cipher, 0);
    }
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    sa->evp_mac = EVP_MAC_CTX_new(hmac);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, mac == MAC_MD5 ? "MD5" : "SHA1", 0),
        OSSL_PARAM_construct_end(),
    };
    if (!EVP_MAC_init(sa->evp_mac, mac_key, mac_key_len, params))
        abort();

    if (cipher == CIPHER_AES) {
        IMB_AES_KEYEXP_128(manager, key, sa->enc_keys, sa->dec_keys);
    } else if (cipher == CIPHER_DES_EDE3) {
        for (int n = 0; n < 3; n++) {
            IMB_DES_KEYSCHED(manager, sa->des[n], key + 8 * n);
            sa->des_keys[n] = sa->des[n];
        }
    }
    uint8_t block[64];
    for (int pad = 0; pad < 2; pad++) {
        memset(block, pad ? 0x5c : 0x36, sizeof block);
        for (size_t n = 0; n < mac_key_len; n++)
            block[n] ^= mac_key[n];
        if (mac == MAC_MD5)
            IMB_MD5_ONE_BLOCK(manager, block, pad ? sa->opad : sa->ipad);
        else
            IMB_SHA1_ONE_BLOCK(manager, block, pad ? sa->opad : sa->ipad);
    }
    return sa;
}

/* AES-GCM encrypts and authenticates SPI and sequence number too; AES-GMAC authenticates all. */
static int openssl_gcm(struct packet *packet) {
    struct sa *sa = packet->sa;
    size_t body = IDS + sa->iv_len, message = packet->len - GCM_ICV;
    int len, is_gmac = sa->mac == MAC_GMAC, good;
    uint8_t iv[GCM_IV];
    nonce(packet, iv);
    EVP_CIPHER_CTX *evp = sa->evp_cipher;
    uint8_t *out = sa->seal ? packet->esp + body : packet->out;
    EVP_CipherInit_ex(evp, NULL, NULL, NULL, iv, -1);
    if (!sa->seal)
        EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, GCM_ICV, packet->esp + message);
    EVP_CipherUpdate(evp, NULL, &len, packet->esp, is_gmac ? message : IDS);
    if (!is_gmac)
        EVP_CipherUpdate(evp, out, &len, packet->esp + body, message - body);
    good = EVP_CipherFinal_ex(evp, out, &len);
    if (sa->seal)
        EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, GCM_ICV, packet->esp + message);
    else if (is_gmac)
        memcpy(packet->out, packet->esp + body, message - body);
    return good > 0;
}

/* Returns how many packets were right. */
size_t peers_openssl(struct packet *packets, size_t count) {
    size_t good = 0;
    for (size_t n = 0; n < count; n++) {
        struct packet *packet = &packets[n];
        struct sa *sa = packet->sa;
        if (is_gcm(sa)) {
            good += openssl_gcm(packet);
            continue;
        }
        size_t body = IDS + sa->iv_len, message = packet->len - ICV, mac_len;
        uint8_t mac[64];
        int len;
        if (sa->seal) {
            if (sa->evp_cipher) {
                EVP_CipherInit_ex(sa->evp_cipher, NULL, NULL, NULL, packet->esp + IDS, -1);
                EVP_CipherUpdate(sa->evp_cipher, packet->esp + body, &len, packet->esp + body, message - body);
            }
            EVP_MAC_init(sa->evp_mac, NULL, 0, NULL);
            EVP_MAC_update(sa->evp_mac, packet->esp, message);
            EVP_MAC_final(sa->evp_mac, mac, &mac_len, sizeof mac);
            memcpy(packet->esp + message, mac, ICV);
            good++;
        } else {
            EVP_MAC_init(sa->evp_mac, NULL, 0, NULL);
            EVP_MAC_update(sa->evp_mac, packet->esp, message);
            EVP_MAC_final(sa->evp_mac, mac, &mac_len, sizeof mac);
            if (CRYPTO_memcmp(packet->esp + message, mac, ICV) != 0)
                continue;
            if (sa->evp_cipher) {
                EVP_CipherInit_ex(sa->evp_cipher, NULL, NULL, NULL, packet->esp + IDS, -1);
                EVP_CipherUpdate(sa->evp_cipher, packet->out, &len, packet->esp + body, message - body);
            } else {
                memcpy(packet->out, packet->esp + body, message - body);
            }
            good++;
        }
    }
    return good;
}

static uint8_t tags[IMB_MAX_JOBS][16];
static uint8_t nonces[IMB_MAX_JOBS][16];

static void fill_gcm(IMB_JOB *job, struct packet *packet, uint8_t *tag, uint8_t *iv) {
    struct sa *sa = packet->sa;
    size_t body = IDS + sa->iv_len, message = packet->len - GCM_ICV;
    int is_gmac = sa->mac == MAC_GMAC;
    nonce(packet, iv);
    job->cipher_mode = IMB_CIPHER_GCM;
    job->hash_alg = IMB_AUTH_AES_GMAC;
    job->cipher_direction = sa->seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    job->chain_order = sa->seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->enc_keys = job->dec_keys = &sa->gcm;
    job->key_len_in_bytes = 16;
    job->src = packet->esp;
    job->dst = sa->seal ? packet->esp + body : packet->out;
    job->cipher_start_src_offset_in_bytes = body;
    job->msg_len_to_cipher_in_bytes = is_gmac ? 0 : message - body;
    job->hash_start_src_offset_in_bytes = body;
    job->msg_len_to_hash_in_bytes = job->msg_len_to_cipher_in_bytes;
    job->iv = iv;
    job->iv_len_in_bytes = GCM_IV;
    job->u.GCM.aad = packet->esp;
    job->u.GCM.aad_len_in_bytes = is_gmac ? message : IDS;
    job->auth_tag_output = tag;
    job->auth_tag_output_len_in_bytes = GCM_ICV;
    job->user_data = packet;
    job->user_data2 = tag;
}

static void fill(IMB_JOB *job, struct packet *packet, uint8_t *tag, uint8_t *iv) {
    struct sa *sa = packet->sa;
    if (is_gcm(sa)) {
        fill_gcm(job, packet, tag, iv);
        return;
    }
    size_t body = IDS + sa->iv_len, message = packet->len - ICV;
    job->cipher_direction = sa->seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    job->chain_order = sa->seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->src = packet->esp;
    job->dst = sa->seal ? packet->esp + body : packet->out;
    job->cipher_start_src_offset_in_bytes = body;
    job->msg_len_to_cipher_in_bytes = sa->cipher == CIPHER_NULL ? 0 : message - body;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = message;
    job->iv = packet->esp + IDS;
    job->iv_len_in_bytes = sa->iv_len;
    job->auth_tag_output = tag;
    job->auth_tag_output_len_in_bytes = ICV;
    job->hash_alg = sa->mac == MAC_MD5 ? IMB_AUTH_MD5 : IMB_AUTH_HMAC_SHA_1;
    job->u.HMAC._hashed_auth_key_xor_ipad = sa->ipad;
    job->u.HMAC._hashed_auth_key_xor_opad = sa->opad;
    switch (sa->cipher) {
    case CIPHER_NULL:
        job->cipher_mode = IMB_CIPHER_NULL;
        break;
    case CIPHER_AES:
        job->cipher_mode = IMB_CIPHER_CBC;
        job->enc_keys = sa->enc_keys;
        job->dec_keys = sa->dec_keys;
        job->key_len_in_bytes = 16;
        break;
    case CIPHER_DES_EDE3:
        job->cipher_mode = IMB_CIPHER_DES3;
        job->enc_keys = sa->des_keys;
        job->dec_keys = sa->des_keys;
        job->key_len_in_bytes = 24;
        break;
    }
    job->user_data = packet;
    job->user_data2 = tag;
}

/* The library compares no ICV; its caller has to. */
static size_t done(IMB_JOB *job) {
    struct packet *packet = job->user_data;
    size_t message = packet->len - packet->sa->icv;
    if (job->status != IMB_STATUS_COMPLETED)
        return 0;
    if (packet->sa->seal) {
        memcpy(packet->esp + message, job->user_data2, packet->sa->icv);
        return 1;
    }
    size_t body = IDS + packet->sa->iv_len;
    if (packet->sa->cipher == CIPHER_NULL)
        memcpy(packet->out, packet->esp + body, message - body);
    return CRYPTO_memcmp(packet->esp + message, job->user_data2, packet->sa->icv) == 0;
}

/* A batch through the interface for single jobs. */
size_t peers_imb(struct packet *packets, size_t count) {
    size_t good = 0;
    IMB_JOB *job;
    for (size_t n = 0; n < count; n++) {
        job = IMB_GET_NEXT_JOB(manager);
        fill(job, &packets[n], tags[n], nonces[n]);
        for (job = IMB_SUBMIT_JOB_NOCHECK(manager); job; job = IMB_GET_COMPLETED_JOB(manager))
            good += done(job);
    }
    while ((job = IMB_FLUSH_JOB(manager)) != NULL)
        good += done(job);
    return good;
}

/* A batch through the interface for bursts. */
size_t peers_imb_burst(struct packet *packets, size_t count) {
    IMB_JOB *jobs[IMB_MAX_BURST_SIZE];
    size_t good = 0;
    while (IMB_GET_NEXT_BURST(manager, count, jobs) < count)
        IMB_FLUSH_BURST(manager, IMB_MAX_BURST_SIZE, jobs);
    for (size_t n = 0; n < count; n++)
        fill(jobs[n], &packets[n], tags[n], nonces[n]);
    for (size_t n = IMB_SUBMIT_BURST_NOCHECK(manager, count, jobs), k = 0; k < n; k++)
        good += done(jobs[k]);
    for (size_t n; (n = IMB_FLUSH_BURST(manager, IMB_MAX_BURST_SIZE, jobs)) > 0;)
        for (size_t k = 0; k < n; k++)
            good += done(jobs[k]);
    return good;
}

/* AES-GCM and AES-GMAC, one packet after the other, through the calls for them. */
size_t peers_imb_gcm(struct packet *packets, size_t count) {
    size_t good = 0;
    for (size_t n = 0; n < count; n++) {
        struct packet *packet = &packets[n];
        struct sa *sa = packet->sa;
        size_t body = IDS + sa->iv_len, message = packet->len - GCM_ICV;
        int is_gmac = sa->mac == MAC_GMAC;
        size_t len = is_gmac ? 0 : message - body, aad = is_gmac ? message : IDS;
        DECLARE_ALIGNED(struct gcm_context_data context, 64);
        uint8_t iv[16], tag[16];
        nonce(packet, iv);
        if (sa->seal) {
            IMB_AES128_GCM_ENC(manager, &sa->gcm, &context, packet->esp + body, packet->esp + body, len, iv,
                               packet->esp, aad, packet->esp + message, GCM_ICV);
            good++;
        } else {
            IMB_AES128_GCM_DEC(manager, &sa->gcm, &context, packet->out, packet->esp + body, len, iv,
                               packet->esp, aad, tag, GCM_ICV);
            if (is_gmac)
                memcpy(packet->out, packet->esp + body, message - body);
            good += CRYPTO_memcmp(packet->esp + message, tag, GCM_ICV) == 0;
        }
    }
    return good;
}
