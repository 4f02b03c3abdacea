//! The S-boxes as circuits over bits: a word holds the same bit of as many blocks as it has bits.
//! Found for this crate by a search over circuits of AND, OR, XOR, and AND with a complement; each
//! is compared with its table for all inputs by a test.
//!
//! An S-box takes six bits, the highest first, and gives four.

/// S1: 57 gates.
#[inline(always)]
pub(super) fn s1([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a1 & !a3;
    let t1 = a6 ^ a5;
    let t2 = a4 & a3;
    let t3 = t1 & !t2;
    let t4 = t0 ^ t3;
    let t5 = t1 ^ a4;
    let t6 = t5 & a5;
    let t7 = t4 | t6;
    let t8 = a3 ^ a1;
    let t9 = t2 ^ t8;
    let t10 = t3 | a5;
    let t11 = t4 & !a4;
    let t12 = t10 ^ t11;
    let t13 = t12 & a1;
    let t14 = t9 & !t13;
    let t15 = !t14;
    let t16 = t15 & !a2;
    let t17 = t7 ^ t16;
    let t18 = t8 ^ a4;
    let t19 = t18 | t1;
    let t20 = t7 ^ a1;
    let t21 = t20 ^ t2;
    let t22 = a5 & !t21;
    let t23 = t22 ^ t2;
    let t24 = a1 & !t6;
    let t25 = t12 & !t5;
    let t26 = t24 ^ t25;
    let t27 = t23 ^ t26;
    let t28 = t27 & !a6;
    let t29 = t19 ^ t28;
    let t30 = t29 & !a2;
    let t31 = t15 & !t8;
    let t32 = t31 ^ t25;
    let t33 = t30 & !t32;
    let t34 = t23 & a6;
    let t35 = t34 ^ t32;
    let t36 = t26 ^ t35;
    let t37 = t36 & a2;
    let t38 = t37 ^ t21;
    let t39 = t38 & a6;
    let t40 = t18 | t16;
    let t41 = t39 ^ t40;
    let t42 = t33 ^ t41;
    let t43 = t17 & !t32;
    let t44 = t43 ^ t12;
    let t45 = t44 & a5;
    let t46 = t42 ^ t45;
    let t47 = t35 ^ t30;
    let t48 = t32 | t8;
    let t49 = t5 & !t44;
    let t50 = t48 ^ t49;
    let t51 = t14 | t12;
    let t52 = t51 & !t6;
    let t53 = t36 & !t1;
    let t54 = t52 | t53;
    let t55 = t54 & !a2;
    let t56 = t50 ^ t55;
    [t17, t46, t47, t56]
}

/// S2: 49 gates.
#[inline(always)]
pub(super) fn s2([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a2 & !a6;
    let t1 = t0 | a1;
    let t2 = a6 & a5;
    let t3 = !a1;
    let t4 = t2 | t3;
    let t5 = t1 ^ t4;
    let t6 = t5 & !a3;
    let t7 = a2 & !t4;
    let t8 = a1 ^ a5;
    let t9 = t8 ^ a6;
    let t10 = t9 ^ a2;
    let t11 = t7 ^ t10;
    let t12 = t4 & a5;
    let t13 = t12 | a2;
    let t14 = t13 & a4;
    let t15 = t11 ^ t14;
    let t16 = t6 ^ t15;
    let t17 = t8 | t7;
    let t18 = a3 & !t17;
    let t19 = t12 & !t10;
    let t20 = t15 & !t19;
    let t21 = t0 & !t20;
    let t22 = a4 & !t21;
    let t23 = t22 & !t2;
    let t24 = t23 ^ t10;
    let t25 = t24 | a3;
    let t26 = t18 ^ t25;
    let t27 = t22 & a3;
    let t28 = t26 ^ t27;
    let t29 = !t28;
    let t30 = t1 & !a3;
    let t31 = t27 ^ t4;
    let t32 = t31 | a2;
    let t33 = t20 ^ a6;
    let t34 = t33 & t1;
    let t35 = t9 & t6;
    let t36 = t35 ^ a3;
    let t37 = t32 & !t36;
    let t38 = t34 ^ t37;
    let t39 = t24 ^ t38;
    let t40 = t32 & !t39;
    let t41 = t30 ^ t40;
    let t42 = a6 & !t41;
    let t43 = t16 ^ t0;
    let t44 = t42 ^ t43;
    let t45 = t3 & !t10;
    let t46 = t39 & !t28;
    let t47 = t45 ^ t46;
    let t48 = t44 ^ t47;
    [t16, t29, t48, t39]
}

/// S3: 46 gates.
#[inline(always)]
pub(super) fn s3([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a5 ^ a1;
    let t1 = a3 ^ a2;
    let t2 = t1 ^ a6;
    let t3 = t2 & a2;
    let t4 = t0 ^ t3;
    let t5 = a4 ^ a3;
    let t6 = t5 & !a5;
    let t7 = t2 ^ t6;
    let t8 = t7 & !a1;
    let t9 = a5 ^ t7;
    let t10 = a6 & !t9;
    let t11 = t10 & a4;
    let t12 = t8 | t11;
    let t13 = t12 ^ a1;
    let t14 = t3 ^ t5;
    let t15 = t13 | t14;
    let t16 = t7 ^ t5;
    let t17 = a6 & !t3;
    let t18 = t17 | a4;
    let t19 = t0 & !t14;
    let t20 = t18 ^ t19;
    let t21 = t20 & a1;
    let t22 = t16 | t21;
    let t23 = !t22;
    let t24 = t23 & !a2;
    let t25 = t15 ^ t24;
    let t26 = t25 & !a4;
    let t27 = t7 ^ t21;
    let t28 = t27 | t6;
    let t29 = t28 & !a2;
    let t30 = t29 & !a6;
    let t31 = t26 ^ t30;
    let t32 = t4 ^ t31;
    let t33 = a2 & !t32;
    let t34 = t8 & !t33;
    let t35 = t13 & !t34;
    let t36 = t35 ^ t16;
    let t37 = t6 & !t36;
    let t38 = t13 ^ a3;
    let t39 = t38 & !a2;
    let t40 = t39 ^ t23;
    let t41 = t40 ^ t9;
    let t42 = t37 ^ t41;
    let t43 = t32 ^ t29;
    let t44 = t26 & !t43;
    let t45 = t42 & !t44;
    [t32, t36, t45, t27]
}

/// S4: 37 gates.
#[inline(always)]
pub(super) fn s4([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a3 ^ a1;
    let t1 = t0 | a1;
    let t2 = t1 ^ a4;
    let t3 = a4 & !a1;
    let t4 = t3 ^ a2;
    let t5 = t2 ^ t4;
    let t6 = a5 & !t5;
    let t7 = t4 & a1;
    let t8 = t6 ^ t2;
    let t9 = t7 | t8;
    let t10 = t9 & !a5;
    let t11 = t4 | t10;
    let t12 = t11 & a3;
    let t13 = t12 ^ t4;
    let t14 = t6 | t13;
    let t15 = t14 | a6;
    let t16 = a2 & !t12;
    let t17 = t0 ^ t2;
    let t18 = t16 ^ t17;
    let t19 = t18 ^ t10;
    let t20 = t15 ^ t19;
    let t21 = !a6;
    let t22 = t21 ^ t20;
    let t23 = t22 ^ t14;
    let t24 = t13 & !a1;
    let t25 = t24 ^ t9;
    let t26 = t19 | a3;
    let t27 = t26 & a2;
    let t28 = t25 & !t27;
    let t29 = t28 ^ t18;
    let t30 = t29 | t21;
    let t31 = t30 ^ t25;
    let t32 = t18 & a5;
    let t33 = t32 ^ t0;
    let t34 = t31 ^ t33;
    let t35 = t34 ^ a6;
    let t36 = t35 ^ t29;
    [t20, t23, t34, t36]
}

/// S5: 53 gates.
#[inline(always)]
pub(super) fn s5([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a6 ^ a4;
    let t1 = a3 ^ a1;
    let t2 = a6 ^ a1;
    let t3 = a2 ^ t2;
    let t4 = t3 ^ t1;
    let t5 = t4 & !a6;
    let t6 = a2 & !t1;
    let t7 = t5 | t6;
    let t8 = t7 ^ a5;
    let t9 = t1 & a6;
    let t10 = t8 & !t9;
    let t11 = t10 & !a4;
    let t12 = a3 & !t11;
    let t13 = t1 & !t12;
    let t14 = t0 & t13;
    let t15 = t14 | a2;
    let t16 = t15 & a4;
    let t17 = t9 & a2;
    let t18 = t17 | a4;
    let t19 = t13 | t7;
    let t20 = t19 ^ a1;
    let t21 = t20 | a5;
    let t22 = t18 & !t21;
    let t23 = a5 ^ a3;
    let t24 = t23 & !t13;
    let t25 = a4 & !t24;
    let t26 = t25 ^ t11;
    let t27 = t26 ^ t3;
    let t28 = t27 & !t2;
    let t29 = t22 ^ t28;
    let t30 = t29 ^ t4;
    let t31 = t16 ^ t30;
    let t32 = t31 | t15;
    let t33 = t0 ^ t32;
    let t34 = t19 & t2;
    let t35 = t33 ^ t34;
    let t36 = !t35;
    let t37 = t36 | t2;
    let t38 = t37 ^ t27;
    let t39 = t38 & a1;
    let t40 = t39 ^ t12;
    let t41 = t40 & a5;
    let t42 = t41 ^ t36;
    let t43 = t30 ^ t21;
    let t44 = t43 | t36;
    let t45 = t44 | a1;
    let t46 = t37 ^ t33;
    let t47 = t46 & !a2;
    let t48 = t47 ^ t31;
    let t49 = t27 & !t40;
    let t50 = t49 ^ t42;
    let t51 = t48 ^ t50;
    let t52 = t45 & t51;
    [t31, t27, t42, t52]
}

/// S6: 46 gates.
#[inline(always)]
pub(super) fn s6([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a4 ^ a1;
    let t1 = t0 ^ a3;
    let t2 = t1 ^ a5;
    let t3 = t2 & !a5;
    let t4 = !a2;
    let t5 = t3 ^ t4;
    let t6 = t5 & !a3;
    let t7 = t6 ^ t2;
    let t8 = t7 & a1;
    let t9 = t8 ^ t1;
    let t10 = t3 | a3;
    let t11 = t2 & !t10;
    let t12 = t9 | t11;
    let t13 = t0 & !a2;
    let t14 = t12 | t13;
    let t15 = t14 & a6;
    let t16 = t15 ^ t7;
    let t17 = a5 | a1;
    let t18 = t17 & t16;
    let t19 = t13 ^ a4;
    let t20 = t18 & t19;
    let t21 = a6 & !t20;
    let t22 = t19 | t0;
    let t23 = t7 | a1;
    let t24 = t10 ^ t23;
    let t25 = t22 & t24;
    let t26 = t25 ^ t14;
    let t27 = t21 ^ t26;
    let t28 = t27 ^ t4;
    let t29 = t10 | t19;
    let t30 = t29 & !a6;
    let t31 = t30 & t17;
    let t32 = t31 ^ t0;
    let t33 = t32 & !t16;
    let t34 = t33 ^ a5;
    let t35 = t34 & !a6;
    let t36 = t16 | t2;
    let t37 = t36 | a1;
    let t38 = t37 ^ t5;
    let t39 = t26 & t6;
    let t40 = t32 | t39;
    let t41 = t38 ^ t40;
    let t42 = t18 ^ t17;
    let t43 = t41 & !t42;
    let t44 = t35 | t43;
    let t45 = t44 ^ t27;
    [t16, t28, t45, t41]
}

/// S7: 45 gates.
#[inline(always)]
pub(super) fn s7([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a4 ^ a3;
    let t1 = a4 & !a5;
    let t2 = a6 ^ a3;
    let t3 = a6 ^ a1;
    let t4 = t2 & !t3;
    let t5 = t1 & !t4;
    let t6 = t0 & !t5;
    let t7 = t6 ^ a5;
    let t8 = t7 & !t3;
    let t9 = t8 ^ t1;
    let t10 = a6 & !t9;
    let t11 = t10 ^ t2;
    let t12 = t11 ^ t1;
    let t13 = t12 | a2;
    let t14 = t2 ^ a2;
    let t15 = a2 & !t11;
    let t16 = t7 ^ t3;
    let t17 = t15 ^ t16;
    let t18 = a6 & !t17;
    let t19 = t14 ^ t18;
    let t20 = a1 & !a5;
    let t21 = t19 | t20;
    let t22 = t21 & !a4;
    let t23 = t13 ^ t22;
    let t24 = t23 & t4;
    let t25 = t24 ^ t17;
    let t26 = t25 | t1;
    let t27 = t26 & !a1;
    let t28 = t6 & !t20;
    let t29 = t28 | a2;
    let t30 = t27 ^ t29;
    let t31 = t30 ^ t12;
    let t32 = t19 ^ t28;
    let t33 = t31 & t16;
    let t34 = t33 & !a5;
    let t35 = t32 ^ t34;
    let t36 = t35 & !a3;
    let t37 = t36 & !t4;
    let t38 = t37 ^ t23;
    let t39 = t38 & !a4;
    let t40 = t36 | t39;
    let t41 = t30 ^ t18;
    let t42 = t40 ^ t41;
    let t43 = !t42;
    let t44 = t38 ^ t16;
    [t31, t43, t44, t17]
}

/// S8: 39 gates.
#[inline(always)]
pub(super) fn s8([a1, a2, a3, a4, a5, a6]: [u64; 6]) -> [u64; 4] {
    let t0 = a5 ^ a3;
    let t1 = t0 & !a5;
    let t2 = a5 | a4;
    let t3 = t2 ^ a3;
    let t4 = t3 & a2;
    let t5 = t0 ^ t4;
    let t6 = t5 & !a1;
    let t7 = t6 ^ a2;
    let t8 = t1 ^ t7;
    let t9 = t8 ^ a4;
    let t10 = t9 & a6;
    let t11 = t10 ^ a3;
    let t12 = t0 ^ a4;
    let t13 = a2 & !t12;
    let t14 = t13 ^ t9;
    let t15 = t2 & a1;
    let t16 = t14 ^ t15;
    let t17 = a6 & !t16;
    let t18 = t13 & !t17;
    let t19 = t11 & !t18;
    let t20 = t19 & !a4;
    let t21 = t20 | t4;
    let t22 = t16 & a5;
    let t23 = t22 ^ t5;
    let t24 = t23 ^ a1;
    let t25 = t15 & !a6;
    let t26 = t25 ^ a5;
    let t27 = t24 ^ t26;
    let t28 = t21 ^ t27;
    let t29 = t28 ^ t9;
    let t30 = t29 & !a6;
    let t31 = t30 ^ t23;
    let t32 = !t31;
    let t33 = t32 ^ a6;
    let t34 = t33 | t25;
    let t35 = t34 ^ t9;
    let t36 = t31 ^ t35;
    let t37 = t27 ^ t18;
    let t38 = t32 ^ t28;
    [t35, t36, t37, t38]
}
