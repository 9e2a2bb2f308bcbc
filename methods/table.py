"""All methods by name, a line each.

Their order is that of every table and of the colours in every figure: closed forms by year, then
trained methods by year.
"""

from methods.agh import AGH, AGH2
from methods.base import HashMethod
from methods.bihalf import BiHalf
from methods.cbe import CBE
from methods.cghash import CGHash
from methods.cibhash import CIBHash
from methods.cimon import CIMON
from methods.crovca import CroVCA
from methods.dgh import DGH
from methods.dsh import DSH
from methods.duh_eg import DUHEG
from methods.gen_hash import GenHash
from methods.greedyhash import GreedyHash
from methods.harr import HARR
from methods.hashsim import HashSIM
from methods.hhch import HHCH
from methods.imh import IMH
from methods.isohash import IsoHash
from methods.itq import ITQ
from methods.kl_hash import KLHash, KLHashCaptions, KLHashHierarchy
from methods.kmh import KMH
from methods.knnh import KNNH
from methods.lfq import LFQ
from methods.lsh import LSH
from methods.mls3rduh import MLS3RDUH
from methods.nsh import NSH
from methods.oh import OH
from methods.pca_rr import PCARR
from methods.pcah import PCAH
from methods.sdc import SDC
from methods.sgh import SGH
from methods.sh import SH
from methods.sign import Sign
from methods.sklsh import SKLSH
from methods.sph import SpH
from methods.ssdh import SSDH
from methods.tbh import TBH
from methods.uhscm import UHSCM
from methods.wch import WCH

METHODS: dict[str, type[HashMethod]] = {
    "lsh": LSH,
    "sh": SH,
    "sklsh": SKLSH,
    "pcah": PCAH,
    "itq": ITQ,
    "pca_rr": PCARR,
    "agh": AGH,
    "agh2": AGH2,
    "isohash": IsoHash,
    "sph": SpH,
    "imh": IMH,
    "kmh": KMH,
    "dsh": DSH,
    "cbe": CBE,
    "dgh": DGH,
    "sgh": SGH,
    "knnh": KNNH,
    "sign": Sign,
    "gen_hash": GenHash,
    "ssdh": SSDH,
    "greedyhash": GreedyHash,
    "tbh": TBH,
    "mls3rduh": MLS3RDUH,
    "bihalf": BiHalf,
    "cibhash": CIBHash,
    "cimon": CIMON,
    "hashsim": HashSIM,
    "nsh": NSH,
    "wch": WCH,
    "sdc": SDC,
    "oh": OH,
    "harr": HARR,
    "uhscm": UHSCM,
    "cghash": CGHash,
    "hhch": HHCH,
    "lfq": LFQ,
    "kl_hash": KLHash,
    "kl_hash_captions": KLHashCaptions,
    "kl_hash_hierarchy": KLHashHierarchy,
    "duh_eg": DUHEG,
    "crovca": CroVCA,
}
